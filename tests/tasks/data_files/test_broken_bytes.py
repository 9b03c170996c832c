from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlbaseline.errors import DataError
from mlbaseline.tasks.data_files import FileOptions, read_table
from mlbaseline.tasks.data_files.broken_bytes import BrokenByte, find_broken_byte


def test_a_file_of_excel_that_is_no_utf_8_is_an_error_with_the_key_to_write(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\ngood,1\nCafé “Sol”,0\n".encode("cp1252"))
    expected = re.escape("line 3 is not UTF-8: byte 0xE9. Encodings that decode the file: cp1252, ")
    with pytest.raises(DataError, match=expected) as caught:
        read_table(path, None)
    assert "cp1252: 'Café “Sol”,0'; mac_roman: 'CafÈ ìSolî,0'" in str(caught.value)
    assert "In `task.data`, write `encoding: cp1252`, or the one that reads right" in str(caught.value)
    table = read_table(path, None, FileOptions("cp1252"))
    assert [row["text"] for _, row in table.rows] == ["good", "Café “Sol”"]


@pytest.mark.parametrize("name", ["json", "jsonl", "tsv"])
def test_no_text_format_reads_what_its_encoding_does_not_have(tmp_path: Path, name: str) -> None:
    (tmp_path / f"a.{name}").write_bytes('[{"text": "é"}]'.encode("cp1252"))
    with pytest.raises(DataError, match="line 1 is not UTF-8: byte 0xE9"):
        read_table(tmp_path / f"a.{name}", None)


def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\né\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"decode the file: utf-16\. In `task.data`, write `encoding: utf-16`"):
        read_table(tmp_path / "a.csv", None)


def test_utf_8_that_is_read_as_something_else_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n“quoted”\n", encoding="utf-8")  # 0x9D is no character of cp1252
    with pytest.raises(DataError, match=r"line 2 is not cp1252: byte 0x9D\. Encodings that decode the file: utf-8, "):
        read_table(tmp_path / "a.csv", None, FileOptions("cp1252"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", [0, 1 << 20, (1 << 20) - 1, (1 << 20) - 2])
def test_the_place_is_exact_wherever_a_chunk_ends(tmp_path: Path, end: str, before: int) -> None:
    """A two-byte character lies across two chunks, too."""
    lines = ["x" * before + "é", "", "ab"]
    (tmp_path / "a.csv").write_bytes(end.join(lines).encode() + b"\xe9cd" + end.encode() + b"ef")
    assert find_broken_byte(tmp_path / "a.csv", None) == BrokenByte(0xE9, 3, b"ab\xe9cd")


def test_a_file_that_ends_within_a_character_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\n" + "é".encode()[:1])
    found = find_broken_byte(tmp_path / "a.csv", None)
    assert found is not None
    assert (found.value, found.line) == (0xC3, 2)
