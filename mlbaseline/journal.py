"""Append-only files: whoever is killed while writing loses that line alone, and a damaged line does not count."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

log = logging.getLogger("mlbaseline")


class Journal:
    """A file of lines, each behind its own checksum. Several threads and processes may add to it at the same time."""

    def __init__(self, path: Path) -> None:
        """path: need not exist."""
        self.path = path

    def add(self, content: str) -> int:
        """Write down one line (without line breaks); where it stands."""
        line = f"{_checksum(content)} {content}\n".encode("utf-8", "surrogatepass")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One write in append mode is not torn apart by others. The newline in front ends what a killed process began.
        with self.path.open("ab", buffering=0) as file:
            file.write(b"\n" + line)
            return file.tell() - len(line)

    def lines(self) -> Iterator[tuple[int, str]]:
        """(where it stands, content) of each line that is as it was written; says how many are not."""
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
        """The line that stands there; None if it is damaged by now."""
        with self.path.open("rb") as file:
            file.seek(start)
            return _undamaged(file.readline())


def _undamaged(line: bytes) -> str | None:
    checksum, _, content = line.rstrip(b"\n").decode("utf-8", "replace").partition(" ")
    return content if checksum == _checksum(content) else None


def _checksum(content: str) -> str:
    return sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
