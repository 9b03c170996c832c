"""Anchors: a few questions that a judge is asked again later, to see whether it is still the same judge."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

from mlbaseline.engine.judging.judges import OpenedJudge
from mlbaseline.engine.judging.questions import JudgeQuestion
from mlbaseline.journal import Journal
from mlbaseline.records import Answer

log = logging.getLogger("mlbaseline")


@dataclass(frozen=True)
class Drift:
    """How a judge's scores of its anchors differ from those that it gave first.

    Attributes:
        n: Anchors that were answered both times.
        changed: Those whose answer is another one now.
        shift: Mean of the new scores minus the old ones, from −1 to 1.
        days: Since they were answered first.
    """

    n: int = 0
    changed: int = 0
    shift: float = 0.0
    days: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return the figures of a run; none where nothing was asked again."""
        if not self.n:
            return {}
        return {
            "anchors": self.n,
            "anchors_changed": self.changed,
            "anchors_shift": self.shift,
            "anchors_days": self.days,
        }


@dataclass(frozen=True)
class Anchors:
    """The anchors of one judge, in a file beside its answers.

    Attributes:
        judge: Who is asked.
        number: Of anchors.
    """

    judge: OpenedJudge
    number: int

    def keep(self, questions: Mapping[str, JudgeQuestion], said: Mapping[str, Answer]) -> None:
        """Choose anchors among questions that were answered, unless there are enough.

        Args:
            questions: Key ─▶ question.
            said: Key ─▶ what was said.
        """
        known = {key for key, _, _, _ in self._read()}
        answered = [key for key in sorted(questions) if key not in known and said[key].error is None]
        for key in answered[: max(0, self.number - len(known))]:
            question = questions[key]
            parts = [question.prompt, question.answer, question.other, question.target]
            self._journal.add(json.dumps([parts, said[key].prediction, time()]))

    def ask_again(self, name: str) -> Drift:
        """Ask every anchor again and compare. What changed is told in the log.

        Args:
            name: Of the metric, for the log.
        """
        anchors = self._read()[: self.number]
        if not anchors:
            return Drift()
        with TemporaryDirectory() as temporary:
            now = self.judge.ask([question for _, question, _, _ in anchors], Path(temporary, "anchors.jsonl"))
        pairs = [(before, now[key]) for key, _, before, _ in anchors if now[key].error is None]
        changed = sum(answer.prediction != before for before, answer in pairs)
        shifts = [self.judge.score(str(answer.prediction)) - self.judge.score(before) for before, answer in pairs]
        if changed:
            log.warning(
                "%s: the judge answers %d of %d anchors otherwise than before, by %+.3f on average. Its new scores may "
                "not be comparable with its old ones; evaluate with --fresh to have all of them from now",
                name,
                changed,
                len(pairs),
                sum(shifts) / len(shifts),
            )
        days = (time() - min(at for *_, at in anchors)) / 86_400
        return Drift(len(pairs), changed, sum(shifts) / len(shifts), days) if pairs else Drift()

    def _read(self) -> Sequence[tuple[str, JudgeQuestion, str, float]]:
        """Key, question, what was said first, and when in seconds since the epoch."""
        found = []
        for _, line in self._journal.lines():
            parts, said, at = json.loads(line)
            question = JudgeQuestion(*parts)
            found.append((question.key, question, said, at))
        return found

    @property
    def _journal(self) -> Journal:
        return Journal(self.judge.journal.with_suffix(".anchors.jsonl"))
