from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from mlbaseline.errors import DataError
from mlbaseline.tasks.data_files import FileOptions, read_table, reading

ROWS = [{"text": "fine, really", "label": "1"}, {"text": 'say "hi"\nand go', "label": "0"}]


def write(path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".json":
            path.write_text(json.dumps(ROWS))
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case ".parquet":
            frame.to_parquet(path, index=False)


@pytest.mark.parametrize("name", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    write(tmp_path / f"data.{name}")
    (tmp_path / f"data.{name}").rename(tmp_path / "other")
    table = read_table(tmp_path / "other", name)
    assert table.columns == ("text", "label")
    assert table.rows == [(1, ROWS[0]), (2, ROWS[1])]
    assert (table.replaced_characters, table.ragged) == (0, 0)


@pytest.mark.parametrize("name", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_the_ending_tells_the_format(tmp_path: Path, name: str) -> None:
    write(tmp_path / f"data.{name}")
    assert len(read_table(tmp_path / f"data.{name}", None).rows) == 2


def test_an_unknown_ending_lists_the_formats(tmp_path: Path) -> None:
    (tmp_path / "data.xls").write_text("")
    with pytest.raises(DataError, match="'xls'; set `format` to one of: csv, tsv, json, jsonl, parquet, excel"):
        read_table(tmp_path / "data.xls", None)


def test_csv_cells_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\nNA,007\nnull,1.50\nTrue,\n")
    assert [row for _, row in read_table(tmp_path / "a.csv", None).rows] == [
        {"text": "NA", "n": "007"},
        {"text": "null", "n": "1.50"},
        {"text": "True", "n": ""},
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_blank_lines_and_byte_order_mark(tmp_path: Path, end: str) -> None:
    text = end.join(["text,label", '"two', 'lines",1', "", "b,0", ""])
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    for encoding in (None, "utf-8"):
        table = read_table(tmp_path / "a.csv", None, FileOptions(encoding))
        assert table.columns == ("text", "label")
        assert [row["text"] for _, row in table.rows] == [f"two{end}lines", "b"]


def test_broken_bytes_are_replaced_and_counted_but_those_of_the_source_are_not(tmp_path: Path) -> None:
    content = b"text,label\ngood \xff\xfe bad,1\n" + "already \ufffd here,0\n".encode()
    (tmp_path / "a.csv").write_bytes(content)
    table = read_table(tmp_path / "a.csv", None, FileOptions(encoding_errors="replace"))
    assert [row["text"] for _, row in table.rows] == ["good \ufffd\ufffd bad", "already \ufffd here"]
    assert table.replaced_characters == 2


def test_half_characters_of_json_are_replaced_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x \\ud83d y \\ud83d\\ude00 \\u2028"}\n')
    table = read_table(tmp_path / "a.jsonl", None)
    assert table.rows == [(1, {"text": "x \ufffd y 😀 \u2028"})]
    assert table.replaced_characters == 1


def test_ragged_rows_are_dropped_and_counted_and_numbers_go_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,1\nb\nc,0,extra\nd,0\n")
    with pytest.raises(DataError, match=r"2 rows with another number .* line 3 \(1\), line 4 \(3\); expected none"):
        read_table(tmp_path / "a.csv", None)
    table = read_table(tmp_path / "a.csv", None, FileOptions(max_ragged=0.5))
    assert [(number, row["text"]) for number, row in table.rows] == [(1, "a"), (4, "d")]
    assert table.ragged == 2


def test_another_encoding_and_delimiter_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text;label\nCafé, schön;1\n".encode("cp1252"))
    table = read_table(tmp_path / "a.csv", None, FileOptions("cp1252", "strict", ";"))
    assert table.rows == [(1, {"text": "Café, schön", "label": "1"})]
    assert (table.replaced_characters, table.notes) == (0, ())
    (tmp_path / "a.jsonl").write_text('{"text": "é"}', encoding="utf-16")
    assert read_table(tmp_path / "a.jsonl", None, FileOptions("utf-16")).rows == [(1, {"text": "é"})]


def test_what_is_replaced_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"text\na\x81b\n")  # no character of cp1252
    found = read_table(tmp_path / "b.csv", None, FileOptions("cp1252", "replace"))
    assert found.notes == ("b.csv: replaced 1 character outside cp1252, first in line 2",)


def test_many_ragged_rows_are_an_error_that_names_the_first(tmp_path: Path) -> None:
    lines = ["text,label", *(f"a {n},1" if n % 10 else f"a, {n},1" for n in range(100))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    expected = r"10 rows with another number of cells than the header's 2: line 2 \(3\), line 12 \(3\), .*, …; expected"
    with pytest.raises(DataError, match=expected):
        read_table(tmp_path / "a.csv", None, FileOptions(max_ragged=0.09))
    assert read_table(tmp_path / "a.csv", None, FileOptions(max_ragged=0.1)).ragged == 10


def test_a_stray_quote_is_an_error_and_swallows_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"never closed,1\nb,0\nc,1\n')
    with pytest.raises(DataError, match=r"a\.csv: line \d: .*a quote inside a field must be doubled"):
        read_table(tmp_path / "a.csv", None)


def test_a_field_longer_than_the_csv_modules_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"text,label\n{'x' * 300_000},1\n")
    assert len(read_table(tmp_path / "a.csv", None).rows[0][1]["text"]) == 300_000


def test_a_repeated_column_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,text\na,1,b\n")
    with pytest.raises(DataError, match="the header names 'text' more than once"):
        read_table(tmp_path / "a.csv", None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "holds no usable row"),
        ("a.csv", "text,label\n", "holds no usable row"),
        ("a.csv", "text,label\na\n", r"holds no usable row of csv data \(1 ragged\)"),
        ("a.json", "[]", "holds no usable row"),
        ("a.json", "{}", "expected a JSON list of objects, got dict"),
        ("a.json", "[1]", "row 1: expected an object with the columns, got int"),
        ("a.json", "[", "is not JSON"),
        ("a.jsonl", '{"a": 1}\n\n{"a": \n', "line 3 is not JSON"),
        ("a.jsonl", '{"a": 1}\n[]\n', "row 2: expected an object"),
        ("a.parquet", "PAR1", "cannot be read as Parquet"),
    ],
)
def test_what_is_not_of_its_format_is_an_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name, None)


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; expected one csv file"):
        read_table(tmp_path, "csv")


def test_values_take_the_form_that_json_has(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "day": [pd.Timestamp("2020-01-02")],
            "raw": [b"a\xff"],
            "gap": [float("nan")],
            "far": [float("inf")],
            "list": [[1, 2]],
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="row 1: the column 'raw' is binary, and holds bytes that are not UTF-8"):
        read_table(tmp_path / "a.parquet", None)
    table = read_table(tmp_path / "a.parquet", None, FileOptions(encoding_errors="replace"))
    row = {"day": "2020-01-02 00:00:00", "raw": "a\ufffd", "gap": None, "far": "inf", "list": [1, 2]}
    assert table.rows == [(1, row)]
    assert table.replaced_characters == 1


def test_a_key_that_one_object_lacks_is_missing_there(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"b": NaN}\n')
    table = read_table(tmp_path / "a.jsonl", None)
    assert table.columns == ("a", "b")
    assert table.rows == [(1, {"a": 1, "b": None}), (2, {"a": None, "b": None})]


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_rows_that_are_read_in_several_pieces_keep_number_and_order(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PARQUET_ROWS", 3)
    frame = pd.DataFrame({"text": [f"row {i}" for i in range(8)], "label": ["a positive one", "a negative one"] * 4})
    path = tmp_path / f"a.{name}"
    write_frame = {"csv": frame.to_csv, "parquet": frame.to_parquet}.get(name)
    if write_frame is None:
        frame.to_json(path, orient="records", lines=True)
    else:
        write_frame(path, index=False)
    expected = [(i + 1, dict(row)) for i, row in enumerate(frame.to_dict("records"))]
    assert read_table(path, None).rows == expected


def test_a_mark_of_replacement_that_lies_across_two_pieces_of_a_file_is_counted_once(tmp_path: Path) -> None:
    for before in ((1 << 20) - n for n in range(4)):
        (tmp_path / "a.csv").write_text("t\n" + "x" * (before - 2) + "\ufffd\n", encoding="utf-8")
        assert read_table(tmp_path / "a.csv", None).replaced_characters == 0
