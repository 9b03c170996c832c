"""Answers that were paid for, kept on disk as they come, so that whoever is interrupted asks nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlbaseline.journal import Journal
from mlbaseline.records import Answer


class KeptAnswers:
    """A file with an answer per line; an example whose line is damaged is asked again."""

    def __init__(self, path: Path) -> None:
        """path: named after the signature that the answers belong to; need not exist."""
        self._journal = Journal(path)

    def load(self) -> dict[str, Answer]:
        """Example id ─▶ answer."""
        return {answer.example_id: answer for answer in self._read()}

    def add(self, answer: Answer) -> None:
        """Write down one answer before anybody builds on it."""
        self._journal.add(json.dumps(asdict(answer)))

    def _read(self) -> Iterator[Answer]:
        for _, line in self._journal.lines():
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(line).items()
            }
            yield Answer(**fields)
