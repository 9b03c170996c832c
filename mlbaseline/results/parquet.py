"""Parquet files that say in which version they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlbaseline.errors import DataError
from mlbaseline.format_versions import FORMAT, VERSION, FormatVersion
from mlbaseline.records import release_unused_memory

_ROW_GROUP_ROWS = 1 << 20
"""What pyarrow takes of itself. Between two groups the memory of the first goes back to the system."""


def write_parquet(frame: pd.DataFrame, path: Path, version: FormatVersion) -> None:
    """Write a table without its index, and the version of its form into the metadata of the file."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **version.metadata})
    with pq.ParquetWriter(path, table.schema) as writer:
        for start in range(0, max(len(table), 1), _ROW_GROUP_ROWS):
            writer.write_table(table.slice(start, _ROW_GROUP_ROWS), _ROW_GROUP_ROWS)
            release_unused_memory()


def read_parquet(path: Path, version: FormatVersion) -> pd.DataFrame:
    """Read what `write_parquet` wrote.

    Raises:
        DataError: The file is no Parquet.
        NewerFormatError: It is of a later version.
    """
    try:
        carried = pq.read_schema(path).metadata or {}
        found, written_by = (carried.get(name.encode()) for name in (FORMAT, VERSION))
        version.require_readable(str(path), *(None if text is None else text.decode() for text in (found, written_by)))
        return pd.read_parquet(path)
    except (OSError, ValueError, OverflowError) as error:  # pyarrow's own are ValueErrors
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
