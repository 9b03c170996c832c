"""Versions of what is stored and printed: docs/reference/compatibility.md says what each of them promises.

What is of a later version is refused with a message that says so, and what is of an earlier version is read. What
carries no version was written before there were any, and is of version 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline.errors import NewerFormatError
from mlbaseline.version import __version__

FORMAT, VERSION = "mlbaseline.format", "mlbaseline.version"
"""Names of the tags of a run, and of the metadata of a Parquet file: version of its form, and of the package."""
KEY = "format_version"
"""Key of JSON documents and of the suite file."""


@dataclass(frozen=True, slots=True)
class FormatVersion:
    """The version of a form in which something is stored or printed.

    Attributes:
        what: Name of the form in messages.
        newest: The version that this package writes, and the newest that it reads.
    """

    what: str
    newest: int = 1

    @property
    def metadata(self) -> dict[str, str]:
        """Return the tags of a run, or the metadata of a Parquet file, that name this version."""
        return {FORMAT: str(self.newest), VERSION: __version__}

    def require_readable(self, where: str, found: object, written_by: str | None = None) -> None:
        """Check that this package can read what it is about to read.

        Args:
            where: Name of the file or run, for the message.
            found: The version that it carries; None where it carries none.
            written_by: The version of mlbaseline that wrote it, where that is known.

        Raises:
            NewerFormatError: It is of a later version, or of one that is no number.

        Example:
            >>> RUN.require_readable("run 1f3c", "1")
            >>> RUN.require_readable("run 1f3c", "2", "0.9.0")
            Traceback (most recent call last):
            mlbaseline.errors.NewerFormatError: run 1f3c: the run has format 2, written by mlbaseline ≥ 0.9.0; ...
        """
        if found is None or (str(found).isdecimal() and int(str(found)) <= self.newest):
            return
        writer = "a later mlbaseline" if written_by is None else f"mlbaseline ≥ {written_by}"
        raise NewerFormatError(
            f"{where}: the {self.what} has format {found}, written by {writer}; mlbaseline {__version__} reads up to "
            f"format {self.newest}. Upgrade mlbaseline."
        )


RUN = FormatVersion("run")
RESULT_TABLE = FormatVersion("result table")
COMPARISON = FormatVersion("comparison")
SUITE = FormatVersion("suite file")
DOCUMENT = FormatVersion("JSON document")
LEDGER = FormatVersion("ledger")
