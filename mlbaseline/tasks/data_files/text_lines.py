"""The lines of a text file in its character encoding."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from mlbaseline import formats
from mlbaseline.progress import progress_bar
from mlbaseline.tasks.data_files.broken_bytes import find_broken_byte, require_decodable
from mlbaseline.tasks.data_files.options import FileOptions


class TextLines:
    """The lines of a text file, one after the other. newline: as of `open`."""

    def __init__(self, path: Path, newline: str, options: FileOptions) -> None:
        self._path, self._newline, self._encoding = path, newline, options.encoding
        self._is_strict, self._marks = options.encoding_errors == "strict", 0

    def __iter__(self) -> Iterator[str]:
        """Yield the lines. Raises DataError where bytes cannot be decoded, unless the options say to replace them."""
        if self._is_strict:
            require_decodable(self._path, self._encoding)
        size_bytes = self._path.stat().st_size
        with (
            self._path.open("rb") as file,
            io.TextIOWrapper(file, self._encoding or "utf-8", errors="replace", newline=self._newline) as lines,
            progress_bar(size_bytes, "B", f"Reading {self._path.name}", is_brief=True) as bar,
        ):
            for number, line in enumerate(lines):
                self._marks += line.count("\ufffd")
                yield line if number else line.removeprefix("\ufeff")  # a byte order mark, whatever the encoding
                if bar.is_due:
                    bar.reach(file.tell())

    def replaced(self) -> tuple[int, tuple[str, ...]]:
        """Count the characters that were replaced, and tell where the first one was.

        Those that stood in the file already do not count.
        """
        broken = None if self._is_strict or not self._marks else find_broken_byte(self._path, self._encoding)
        if broken is None:
            return 0, ()
        mark = "\ufffd".encode(self._encoding or "utf-8", errors="ignore")
        count = self._marks - (_count_in_file(self._path, mark) if mark else 0)
        named = self._encoding or "UTF-8"
        what = f"replaced {formats.counted(count, 'character')} outside {named}, first in line {broken.line:,}"
        return count, (f"{self._path.name}: {what}",)


def _count_in_file(path: Path, piece: bytes) -> int:
    found, rest = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found += (rest + chunk).count(piece)
            # Shorter than the piece, so that none is counted twice.
            rest = (rest + chunk)[1 - len(piece) :]
    return found
