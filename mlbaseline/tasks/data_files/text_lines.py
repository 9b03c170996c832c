"""The lines of a data file in its character encoding; what cannot be decoded is replaced, counted and reported."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from mlbaseline.progress import progress_bar


class TextLines:
    """The lines of a text file, one after the other.

    newline: as of `open`. encoding: None for UTF-8. replaced: characters that had to be replaced, of the lines read so
    far.
    """

    def __init__(self, path: Path, newline: str, encoding: str | None) -> None:
        self._path, self._newline, self._encoding = path, newline, encoding
        self._marks, self._first_marked, self._number = 0, 0, 0

    def __iter__(self) -> Iterator[str]:
        size_bytes = self._path.stat().st_size
        with (
            self._path.open("rb") as file,
            io.TextIOWrapper(
                file, encoding=self._encoding or "utf-8-sig", errors="replace", newline=self._newline
            ) as lines,
            progress_bar(size_bytes, "B", f"Reading {self._path.name}", is_brief=True) as bar,
        ):
            for line in lines:
                self._number += 1
                if marks := line.count("\ufffd"):
                    self._first_marked = self._first_marked or self._number
                    self._marks += marks
                yield line
                if bar.is_due:
                    bar.reach(file.tell())

    @property
    def replaced(self) -> int:
        """Characters that were replaced; those that stood in the file already do not count."""
        mark = "\ufffd".encode(self._encoding or "utf-8", errors="ignore")
        return self._marks and self._marks - (_count_in_file(self._path, mark) if mark else 0)

    def notes(self) -> tuple[str, ...]:
        """Tell where characters were first replaced, and what to do about it."""
        named = self._encoding or "UTF-8"
        hint = "" if self._encoding else "; a CSV file of Excel is often `encoding: cp1252` (`task.data`)"
        what = f"{self.replaced:,} characters that are not {named} were replaced, first in line {self._first_marked:,}"
        return (f"{self._path.name}: {what}{hint}",)


def _count_in_file(path: Path, piece: bytes) -> int:
    found, rest = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found += (rest + chunk).count(piece)
            # Shorter than the piece, so that none is counted twice.
            rest = (rest + chunk)[1 - len(piece) :]
    return found
