"""Which character stands between the cells of a text table."""

from __future__ import annotations

import csv
from pathlib import Path

from mlbaseline.tasks.data_errors import DELIMITERS


def guess_delimiter(path: Path, encoding: str | None) -> str:
    """Return the usual delimiter that cuts the first line of a file into the most cells.

    Args:
        path: A text table with a header.
        encoding: None for UTF-8.
    """
    with path.open(encoding=encoding or "utf-8-sig", errors="replace", newline="") as file:
        header = file.readline()
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), [])))
