"""Append-only files. A process that is killed while it writes loses that line alone; a damaged line does not count.

A checksum is made with the cache's key (`cache.sign`), so that a line that was written by hand does not count either.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from mlbaseline.cache import sign

log = logging.getLogger("mlbaseline")


class Journal:
    """A file of lines, each with a checksum in front. Several threads and processes may add lines at the same time.

    Args:
        path: The file. It need not exist.

    Example:
        >>> journal = Journal(Path("answers.journal"))
        >>> start = journal.add("one line")
        >>> journal.line_at(start)
        'one line'
        >>> [content for _, content in journal.lines()]
        ['one line']
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, content: str) -> int:
        """Append one line.

        Args:
            content: The line, without line breaks.

        Returns:
            Offset of the line in bytes, for `line_at`.

        Raises:
            OSError: The line could not be written, or not all of it, as on a full disk.
        """
        line = f"{_checksum(content)} {content}\n".encode("utf-8", "surrogatepass")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One write in append mode is not torn apart by others. The newline in front ends what a killed process began.
        with self.path.open("ab", buffering=0) as file:
            if file.write(b"\n" + line) < len(line) + 1:  # the system raises only where no byte fits any more
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            return file.tell() - len(line)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the offset in bytes and the content of each undamaged line. The number of damaged lines is logged."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        damaged = start = 0
        with file:
            for line in file:
                content = _undamaged(line)
                if content is not None:
                    yield start, content
                else:
                    damaged += bool(line.strip())
                start += len(line)
        if damaged:
            log.warning("%s: %d damaged entries; they are computed again", self.path, damaged)

    def line_at(self, start: int) -> str | None:
        """Return the line at an offset that `add` or `lines` gave; None if it is damaged."""
        with self.path.open("rb") as file:
            file.seek(start)
            return _undamaged(file.readline())

    def count_damaged(self) -> int:
        """Count the damaged lines: a process was killed, or a disk was full, while they were written."""
        return sum(_undamaged(line) is None for line in self._written())

    def drop_damaged(self) -> None:
        """Write the file anew without its damaged lines. No other process may write it at the same time."""
        whole = [line for line in self._written() if _undamaged(line) is not None]
        part = self.path.with_suffix(".part")
        part.write_bytes(b"".join(b"\n" + line for line in whole))
        part.replace(self.path)

    def _written(self) -> Iterator[bytes]:
        """Yield the lines with something in them, damaged ones included."""
        with self.path.open("rb") as file:
            yield from (line for line in file if line.strip())


def _undamaged(line: bytes) -> str | None:
    checksum, _, content = line.rstrip(b"\n").decode("utf-8", "replace").partition(" ")
    return content if checksum == _checksum(content) else None


def _checksum(content: str) -> str:
    return sign(content)[:32]
