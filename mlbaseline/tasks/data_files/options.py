"""How a data file is written, beside its format."""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline.suite import DataSource, EncodingErrors


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How a data file is written.

    Attributes:
        encoding: Character encoding of a text file; None: UTF-8.
        encoding_errors: Whether bytes that cannot be decoded are an error, or replaced by U+FFFD and counted.
        delimiter: Between the cells; None: that of the format.
        sheet: Name of the sheet of an Excel file; None: the only one that holds something.
        max_ragged: Largest share of rows that may be left out because their number of cells is not the header's.
    """

    encoding: str | None = None
    encoding_errors: EncodingErrors = "strict"
    delimiter: str | None = None
    sheet: str | None = None
    max_ragged: float = 0.0

    @classmethod
    def of(cls, data: DataSource) -> FileOptions:
        """Return what a suite says of its data files."""
        return cls(data.encoding, data.encoding_errors, data.delimiter, data.sheet, data.max_ragged)


AS_IT_IS = FileOptions()
"""Of files that no key of a suite describes, such as recorded answers and labels: nothing in them is repaired."""
