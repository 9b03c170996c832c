"""A sheet of an Excel workbook ─▶ rows. The row number is that of the sheet, as Excel shows it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import DataError
from mlbaseline.formats import counted
from mlbaseline.suggestions import did_you_mean
from mlbaseline.tasks.data_files.options import FileOptions
from mlbaseline.tasks.data_files.table import DataTable, RowCollector, check_header, plain
from mlbaseline.values import as_text

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

_CARRIAGE_RETURN = "_x000D_"
"""How Excel writes this character into its XML."""


@dataclass(frozen=True, slots=True)
class _TableArea:
    """Where the table stands: from its header on, up to the last column that the header names (counted from 1)."""

    header_row: int
    last_column: int

    def rows_of(self, sheet: Worksheet) -> Iterator[tuple[Cell, ...]]:
        """Yield the header and the rows, with the column behind the last: it may be one whose name was forgotten."""
        yield from sheet.iter_rows(min_row=self.header_row, max_col=self.last_column + 1)


def read_excel(path: Path, options: FileOptions) -> DataTable:
    """Read one sheet: the first row that is not empty is the header.

    Cells have the type that Excel stores: texts, numbers, booleans; dates become text in ISO 8601. A number that Excel
    shows with leading zeros (its format is `00000`) is text with these zeros. Formulas have the result that Excel has
    stored. Cells of errors such as `#N/A` are empty, and are told of.

    Raises:
        DataError: openpyxl is missing; the file is no workbook; which sheet is meant is not clear; cells are merged; a
            formula has no stored result; a column with values has no name.
    """
    sheet = _choose_sheet(path, _open(path, results=False), options.sheet)
    where = f"{path}: sheet {sheet.title!r}"
    area = _find_table(sheet)
    if area is None:
        raise DataError(f"{where} is empty")
    _check_merged(sheet, area, where)
    if any(cell.data_type == "f" for row in area.rows_of(sheet) for cell in row):
        formulas, sheet = sheet, _open(path, results=True)[sheet.title]
        _check_results(formulas, sheet, area, where)
    rows = area.rows_of(sheet)
    columns = {place: as_text(_value(cell)) for place, cell in enumerate(next(rows)) if cell.value is not None}
    check_header(path, [*columns.values()])
    collector, errors = RowCollector(columns.values()), list[str]()
    for row in rows:
        if any(cell.value is not None for cell in row):
            _check_named(row, columns, where)
            errors += [cell.coordinate for place in columns if (cell := row[place]).data_type == "e"]
            collector.add(row[0].row, [plain(_value(row[place]), collector.broken) for place in columns])
    notes: tuple[str, ...] = ()
    if errors:
        cells = counted(len(errors), "cell")
        notes = (f"{path.name}: {cells} with an error of Excel, read as empty, first {errors[0]}",)
    return collector.table(path, notes=notes)


def _open(path: Path, *, results: bool) -> Workbook:
    """Read a workbook. results: of formulas, in place of their text."""
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{path}: reading Excel files needs openpyxl, which is not installed: pip install 'mlbaseline[excel]'"
        ) from error
    try:
        # As a file: openpyxl refuses names with other endings, such as those of fetched files.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles, validation and the like, which are not data
            return openpyxl.load_workbook(file, data_only=results)
    except Exception as error:  # openpyxl raises whatever its parsers meet
        raise DataError(
            f"{path}: cannot be read as an Excel workbook (.xlsx): {error}. An older .xls file and one with a password "
            "have to be saved as .xlsx without a password"
        ) from error


def _choose_sheet(path: Path, workbook: Workbook, named: str | None) -> Worksheet:
    sheets: Mapping[str, Worksheet] = {sheet.title: sheet for sheet in workbook.worksheets}
    if named is not None:
        if named not in sheets:
            raise DataError(
                f"{path}: no sheet {named!r}; there are: {', '.join(map(repr, sheets))}{did_you_mean(named, sheets)}"
            )
        return sheets[named]
    filled = [s for s in sheets.values() if s.sheet_state == "visible" and _find_table(s) is not None]
    if not filled:
        raise DataError(f"{path}: no visible sheet holds anything; there are: {', '.join(map(repr, sheets))}")
    if len(filled) > 1:
        names = ", ".join(repr(sheet.title) for sheet in filled)
        raise DataError(f"{path}: several sheets hold something: {names}; name the one that is meant as `sheet`")
    return filled[0]


def _find_table(sheet: Worksheet) -> _TableArea | None:
    """Find the first row that is not empty. None: there is none."""
    for row in sheet.iter_rows():
        if filled := [cell.column for cell in row if cell.value is not None]:
            return _TableArea(row[0].row, max(filled))
    return None


def _check_results(formulas: Worksheet, results: Worksheet, area: _TableArea, where: str) -> None:
    """Raise DataError where a formula has no stored result. An empty text is one, which openpyxl types as `str`."""
    for row in area.rows_of(formulas):
        for cell in row:
            result = results[cell.coordinate]
            if cell.data_type == "f" and result.value is None and result.data_type != "str":
                raise DataError(
                    f"{where}: {cell.coordinate} holds a formula without a result: the program that wrote the file "
                    "does not calculate. Open it in Excel or LibreOffice and save it, or write the values"
                )


def _check_merged(sheet: Worksheet, area: _TableArea, where: str) -> None:
    for merged in sheet.merged_cells.ranges:
        if merged.max_row >= area.header_row and merged.min_col <= area.last_column:
            raise DataError(
                f"{where}: the cells {merged.coord} are merged, so that which rows and columns the value belongs to is "
                "not clear; unmerge them and write the value into each cell that should have it"
            )


def _check_named(cells: tuple[Cell, ...], columns: Mapping[int, str], where: str) -> None:
    for place, cell in enumerate(cells):
        if cell.value is not None and place not in columns:
            raise DataError(
                f"{where}: {cell.coordinate} has the value {str(cell.value)[:40]!r}, and the header names no column "
                f"{cell.column_letter}; name it, or clear its cells"
            )


def _value(cell: Cell) -> Any:
    value: Any = cell.value
    if cell.data_type == "e":
        return None
    if isinstance(value, str):
        return value.replace(_CARRIAGE_RETURN, "\r")
    if isinstance(value, datetime) and value.time() == time() and "h" not in cell.number_format.lower():
        return value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and re.fullmatch("00+", cell.number_format):
        return str(value).zfill(len(cell.number_format))
    return value
