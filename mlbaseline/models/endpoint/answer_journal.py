"""Answers of an endpoint, stored on disk as they arrive, so that after an interruption none is paid for twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlbaseline.journal import Journal
from mlbaseline.records import Answer


class AnswerJournal:
    """A file with an answer per line. A damaged line is ignored, and its example is sent again."""

    def __init__(self, path: Path) -> None:
        """Use a file, named after the signature that the answers belong to; it need not exist."""
        self._journal = Journal(path)

    def load(self) -> dict[str, Answer]:
        """Return all answers: example id ─▶ answer."""
        return {answer.example_id: answer for answer in self._read()}

    def add(self, answer: Answer) -> None:
        """Store one answer."""
        self._journal.add(json.dumps(asdict(answer)))

    def _read(self) -> Iterator[Answer]:
        for _, line in self._journal.lines():
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(line).items()
            }
            yield Answer(**fields)
