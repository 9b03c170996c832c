"""Answers that were paid for, kept on disk as they come, so that whoever is interrupted asks nothing twice."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from mlbaseline.records import Answer, digest_of


class KeptAnswers:
    """An append-only file with an answer per line, each behind its own checksum.

    A line that a kill has torn, and one that was edited, does not count: its example is asked again.
    """

    def __init__(self, path: Path) -> None:
        """path: named after the signature that the answers belong to; need not exist."""
        self._path = path
        self._lock = threading.Lock()

    def load(self) -> dict[str, Answer]:
        """Example id ─▶ answer."""
        if not self._path.is_file():
            return {}
        return {answer.example_id: answer for answer in _read(self._path.read_bytes())}

    def add(self, answer: Answer) -> None:
        """Write down one answer before anybody builds on it."""
        content = asdict(answer)
        line = json.dumps([digest_of(content), content], ensure_ascii=True) + "\n"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+") as file:
                if _is_torn(file):
                    line = "\n" + line
                file.write(line.encode("ascii"))


def _is_torn(file: IO[bytes]) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _read(content: bytes) -> Iterator[Answer]:
    for line in content.split(b"\n"):
        try:
            digest, fields = json.loads(line)
            if digest_of(fields) == digest:
                given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
                yield Answer(**given)
        except (ValueError, TypeError, KeyError):
            continue
