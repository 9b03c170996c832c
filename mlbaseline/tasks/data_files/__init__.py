"""Reading data files: text tables, JSON, Parquet and Excel ─▶ rows."""

from mlbaseline.tasks.data_files.options import FileOptions
from mlbaseline.tasks.data_files.reading import TEXT_FORMATS, read_table
from mlbaseline.tasks.data_files.table import DataTable, RowTable, plain

__all__ = ["TEXT_FORMATS", "DataTable", "FileOptions", "RowTable", "plain", "read_table"]
