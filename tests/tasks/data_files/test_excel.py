from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from mlbaseline.errors import DataError
from mlbaseline.tasks.data_files import FileOptions, read_table

openpyxl = pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")


def write(path: Path, *rows: Sequence[Any], sheet: str = "Data") -> Any:
    """Write a workbook with one sheet, and return it, to be changed and saved again."""
    workbook = openpyxl.Workbook()
    workbook.active.title = sheet
    for row in rows:
        workbook.active.append(row)
    workbook.save(path)
    return workbook


def replace_in_sheet(path: Path, old: str, new: str) -> None:
    """Change the XML of the sheet: openpyxl writes formulas without their results, which Excel stores."""
    with ZipFile(path) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    assert old in members["xl/worksheets/sheet1.xml"]
    members["xl/worksheets/sheet1.xml"] = members["xl/worksheets/sheet1.xml"].replace(old, new)
    with ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_cells_have_the_type_that_excel_stores(tmp_path: Path) -> None:
    workbook = write(
        tmp_path / "a.xlsx",
        ["id", "text", "day", "moment", "yes", "zip", "share"],
        [17.0, "fine\nreally", dt.date(2026, 3, 1), dt.datetime(2026, 3, 1, 9, 30), True, 123, 0.5],
        [18, None, None, None, None, None, None],
    )
    workbook.active["F2"].number_format = "00000"
    workbook.save(tmp_path / "a.xlsx")
    table = read_table(tmp_path / "a.xlsx", None)
    assert table.columns == ("id", "text", "day", "moment", "yes", "zip", "share")
    first, second = table.rows
    assert [*first[1].values()] == [17, "fine\nreally", "2026-03-01", "2026-03-01 09:30:00", True, "00123", 0.5]
    assert [type(value) for value in first[1].values()] == [int, str, str, str, bool, str, float]
    assert [*second[1].values()] == [18, *[None] * 6]


def test_rows_are_counted_as_excel_shows_them_and_empty_ones_are_none(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", [], [None, "text", 2026], [], [None, "a", 1], [], [None, "b", 2])
    table = read_table(tmp_path / "a.xlsx", None)
    assert table.rows == [(4, {"text": "a", "2026": 1}), (6, {"text": "b", "2026": 2})]


def test_formulas_have_their_stored_results(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write(path, ["text", "n"], ["a", "=1+1"], ["b", '=IF(A1="","x","")'])
    replace_in_sheet(path, "<f>1+1</f><v></v>", "<f>1+1</f><v>2</v>")
    with pytest.raises(DataError, match=r"sheet 'Data': B3 holds a formula without a result: .* save it"):
        read_table(path, None)
    replace_in_sheet(path, '<c r="B3">', '<c r="B3" t="str">')  # the result is the empty text
    assert [row["n"] for _, row in read_table(path, None).rows] == [2, None]


def test_merged_cells_are_an_error_where_the_table_stands(tmp_path: Path) -> None:
    workbook = write(tmp_path / "a.xlsx", ["text", "label"], ["a", "good"], ["b", None])
    workbook.active.merge_cells("B2:B3")
    workbook.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match=r"the cells B2:B3 are merged, .* unmerge them"):
        read_table(tmp_path / "a.xlsx", None)
    workbook.active.unmerge_cells("B2:B3")
    workbook.active.merge_cells("F2:F3")
    workbook.active["F2"] = "a remark beside the table"
    workbook.save(tmp_path / "a.xlsx")
    assert [row["label"] for _, row in read_table(tmp_path / "a.xlsx", None).rows] == ["good", None]


def test_values_without_a_name_and_names_that_repeat_are_errors(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", ["text", None, "label"], ["a", None, "good"], ["b", "?", "bad"])
    with pytest.raises(DataError, match=r"B3 has the value '\?', and the header names no column B; name it"):
        read_table(tmp_path / "a.xlsx", None)
    write(tmp_path / "a.xlsx", ["text", "text"], ["a", "b"])
    with pytest.raises(DataError, match="the header names 'text' more than once"):
        read_table(tmp_path / "a.xlsx", None)


def test_errors_of_excel_are_empty_and_told_of(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", ["text", "label"], ["a", "#N/A"], ["b", "good"])
    table = read_table(tmp_path / "a.xlsx", None)
    assert [row["label"] for _, row in table.rows] == [None, "good"]
    assert table.notes == ("a.xlsx: 1 cell with an error of Excel, read as empty, first B2",)


def test_the_sheet_is_named_where_several_hold_something(tmp_path: Path) -> None:
    workbook = write(tmp_path / "a.xlsx", ["text"], ["a"], sheet="First")
    workbook.create_sheet("Empty")
    hidden = workbook.create_sheet("Hidden")
    hidden["A1"], hidden.sheet_state = "x", "hidden"
    workbook.save(tmp_path / "a.xlsx")
    assert read_table(tmp_path / "a.xlsx", None).rows == [(2, {"text": "a"})]
    workbook.create_sheet("Second").append(["text"])
    workbook["Second"].append(["b"])
    workbook.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match=r"several sheets hold something: 'First', 'Second'; name the one .* `sheet`"):
        read_table(tmp_path / "a.xlsx", None)
    assert read_table(tmp_path / "a.xlsx", None, FileOptions(sheet="Second")).rows == [(2, {"text": "b"})]
    with pytest.raises(DataError, match="no sheet 'Third'; there are: 'First', 'Empty', 'Hidden', 'Second'"):
        read_table(tmp_path / "a.xlsx", None, FileOptions(sheet="Third"))


def test_what_is_no_workbook_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"\xd0\xcf\x11\xe0 an older file")
    with pytest.raises(DataError, match=r"cannot be read as an Excel workbook \(\.xlsx\): .* older \.xls file"):
        read_table(tmp_path / "a.xlsx", None)
    write(tmp_path / "b.xlsx")
    with pytest.raises(DataError, match="no visible sheet holds anything; there are: 'Data'"):
        read_table(tmp_path / "b.xlsx", None)
    write(tmp_path / "c.xlsx", ["text", "label"])
    with pytest.raises(DataError, match="holds no usable row of excel data"):
        read_table(tmp_path / "c.xlsx", None)


def test_without_openpyxl_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.xlsx", ["text"], ["a"])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match=r"needs openpyxl, .* pip install 'mlbaseline\[excel\]'"):
        read_table(tmp_path / "a.xlsx", None)
