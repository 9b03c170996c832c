"""The answers of a rung, scored by the judges of a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from mlbaseline.engine.judging.anchors import Anchors, Drift
from mlbaseline.engine.judging.judges import FIELD, FindScorer, OpenedJudge, judge_fields, open_judge
from mlbaseline.engine.judging.questions import JudgeQuestion
from mlbaseline.engine.judging.recorded_scores import Columns, RecordedScores
from mlbaseline.metrics.labels import Answers, answers_of, answers_sha256, score_without_judge
from mlbaseline.records import Answer, Scalar, TaskData
from mlbaseline.results import SCORE, UNANSWERED, ResultTable
from mlbaseline.suite import JudgedMetric, Suite
from mlbaseline.tasks import Fetch
from mlbaseline.tasks.prompting import render

JUDGED_SPLIT = "test"
"""The split whose answers are judged: nothing is decided on another one by a judge."""
MIDDLE = 0.5
"""The score of an answer about which the judge said nothing that can be read. Any constant would do: the labels of
people correct it, as they correct the judge."""
ERROR, FIRST, SECOND = ".error", ".first", ".second"
"""Ends of the columns `judge.<metric>.…`: why there is no score, the score when shown first, and when shown second."""
Figures = Mapping[tuple[str, ...], float]


@dataclass(frozen=True)
class Judging:
    """Scores tables by every judge of a suite.

    Attributes:
        suite: With the judged metrics.
        fetch: Brings files of scores to this machine.
        find_scorer: Finds scorers of MLflow.
        find_answers: Baseline ─▶ its answers on the split that is judged, which others are compared with.
        split: Whose answers they are. Only those of `JUDGED_SPLIT` are judged.
        fresh: Whether every question is asked again.
    """

    suite: Suite
    fetch: Fetch
    find_scorer: FindScorer | None
    find_answers: Callable[[str], Answers]
    split: str = "test"
    fresh: bool = False
    _opened: dict[str, OpenedJudge] = field(default_factory=dict)
    _drifts: dict[str, Drift] = field(default_factory=dict)

    def fields(self) -> dict[str, Scalar]:
        """Return what the scores depend on, as fields of a signature."""
        return {key: value for name in self.suite.judged for key, value in self._fields[name].items()}

    def facts(self, baseline: str) -> dict[str, Scalar]:
        """Return which answers those of a baseline are compared with, as parameters of its run."""
        pairs = [(name, metric.against) for name, metric in self._judged.items() if metric.against]
        return {
            f"{FIELD}{name}.against_sha256": self._against_sha256(against)
            for name, against in pairs
            if against != baseline
        }

    def score(self, table: ResultTable, data: TaskData) -> tuple[ResultTable, Figures]:
        """Return the table with a score of every judge, and figures of what judging it took and showed.

        Raises:
            EndpointError: A judge cannot be asked at all.
            SuiteError: A function or scorer cannot be loaded.
            DataError: A file of scores does not fit the answers.
        """
        figures: dict[tuple[str, ...], float] = {}
        for name, metric in self._judged.items():
            if metric.judge.recorded is not None:
                columns, found = RecordedScores(metric.judge.recorded, name, self.fetch).score(table)
            else:
                columns, found = self._ask(name, metric, table, data)
            table = replace(table, frame=table.frame.assign(**columns))
            figures |= {("judge", name, figure): value for figure, value in found.items()}
        return table, figures

    @property
    def _judged(self) -> Mapping[str, JudgedMetric]:
        return self.suite.judged if self.split == JUDGED_SPLIT else {}

    def _ask(
        self, name: str, metric: JudgedMetric, table: ResultTable, data: TaskData
    ) -> tuple[Columns, dict[str, float]]:
        answers, against = answers_of(table), self._against(metric, table)
        is_pair = metric.against is not None
        settled = {id: score_without_judge(answer, against.get(id), is_pair=is_pair) for id, answer in answers.items()}
        open_ones = {id: str(answer) for id, answer in answers.items() if settled[id] is None}
        asked = _Asked(metric, self._questions(metric, open_ones, against, data))
        judge = self._judge(name)
        questions = list(asked.questions.values())
        drift = self._drift(name, metric, judge, questions)
        said = judge.ask(questions)
        if judge.is_drifting:
            Anchors(judge, metric.judge.anchors).keep(asked.questions, said)
        columns = asked.columns(name, table, settled, judge, said)
        return columns, {**asked.figures(judge, said), **drift.figures()}

    def _questions(
        self, metric: JudgedMetric, answers: Mapping[str, str], against: Answers, data: TaskData
    ) -> dict[str, JudgeQuestion]:
        """Return what is asked about the answer of each example, by its id."""
        template = self.suite.task.prompt
        return {
            example.id: JudgeQuestion(
                render(template, example.fields),
                answers[example.id],
                against.get(example.id),
                example.target if metric.show_target else None,
            )
            for example in data.examples
            if example.id in answers
        }

    def _against(self, metric: JudgedMetric, table: ResultTable) -> Answers:
        """Return the answers that those of a table are compared with; none where each is judged alone."""
        if metric.against is None:
            return {}
        return answers_of(table) if table.baseline == metric.against else self.find_answers(metric.against)

    def _against_sha256(self, baseline: str) -> str:
        return answers_sha256(self.find_answers(baseline))

    def _drift(self, name: str, metric: JudgedMetric, judge: OpenedJudge, questions: Sequence[JudgeQuestion]) -> Drift:
        """Ask the anchors again, once a command, where something new is going to be asked."""
        if name in self._drifts or not judge.is_drifting or not metric.judge.anchors:
            return self._drifts.get(name, Drift())
        if {question.key for question in questions} <= judge.answered():
            return Drift()
        self._drifts[name] = Anchors(judge, metric.judge.anchors).ask_again(name)
        return self._drifts[name]

    def _judge(self, name: str) -> OpenedJudge:
        if name not in self._opened:
            judge = open_judge(self.suite, name, self._fields[name], self.find_scorer)
            if self.fresh:
                judge.journal.unlink(missing_ok=True)
            self._opened[name] = judge
        return self._opened[name]

    @cached_property
    def _fields(self) -> dict[str, dict[str, Scalar]]:
        return {name: judge_fields(self.suite, name, self.fetch, self.find_scorer) for name in self.suite.judged}


@dataclass(frozen=True)
class _Asked:
    """The questions of one metric and table. by_example: example id ─▶ question, without the swapped ones."""

    metric: JudgedMetric
    by_example: Mapping[str, JudgeQuestion]

    @property
    def is_pair(self) -> bool:
        return self.metric.against is not None

    @property
    def questions(self) -> dict[str, JudgeQuestion]:
        """Key ─▶ question, each content once; of two answers both orders."""
        both = [q for question in self.by_example.values() for q in _orders(question)]
        return {question.key: question for question in both}

    def columns(
        self,
        name: str,
        table: ResultTable,
        settled: Mapping[str, float | None],
        judge: OpenedJudge,
        said: Mapping[str, Answer],
    ) -> Columns:
        """Make the columns of the metric, for every row of the table."""
        rows = [self._row(id, settled[id], judge, said) for id in table.frame["example_id"]]
        columns: Columns = {SCORE + name: np.array([row.score for row in rows])}
        if any(row.error for row in rows):
            columns[FIELD + name + ERROR] = pd.array([row.error for row in rows], dtype="string")
        if self.is_pair:
            for end, orders in ((FIRST, [row.first for row in rows]), (SECOND, [row.second for row in rows])):
                columns[FIELD + name + end] = np.array(orders, dtype=float)
        unanswered = np.array([row.unanswered for row in rows])
        if unanswered.any():
            before = table.frame[UNANSWERED].to_numpy(dtype=bool) if UNANSWERED in table.frame else False
            columns[UNANSWERED] = unanswered | before
        return columns

    def _row(self, id: str, settled: float | None, judge: OpenedJudge, said: Mapping[str, Answer]) -> _JudgedRow:
        if settled is not None:
            return _JudgedRow(settled)
        question = self.by_example[id]
        answers = [said[each.key] for each in _orders(question)]
        error = next((answer.error for answer in answers if answer.error is not None), None)
        if error is not None:
            return _JudgedRow(MIDDLE, error=error, unanswered=any(answer.unanswered for answer in answers))
        scores = [judge.score(str(answer.prediction)) for answer in answers]
        if not self.is_pair:
            return _JudgedRow(scores[0])
        first, second = scores[0], 1.0 - scores[1]
        return _JudgedRow(first if first == second else MIDDLE, first=first, second=second)

    def figures(self, judge: OpenedJudge, said: Mapping[str, Answer]) -> dict[str, float]:
        """Sum up what judging took, whenever it was paid, and how far the judge prefers what it is shown first."""
        answers = [said[key] for key in self.questions]
        read, written = (sum(getattr(answer, name) for answer in answers) for name in ("tokens_in", "tokens_out"))
        figures: dict[str, float] = {
            "questions": len(answers),
            "errors": sum(answer.error is not None for answer in answers),
            "tokens_in": read,
            "tokens_out": written,
            "seconds": sum(answer.latency_s or 0.0 for answer in answers),
        }
        price = self.metric.judge.usd_per_million_tokens
        stated = [answer.cost_usd for answer in answers if answer.error is None]
        if stated and None not in stated:
            figures["usd"] = sum(cost for cost in stated if cost is not None)
        elif price is not None:
            figures["usd"] = (read * price.input + written * price.output) / 1e6
        if self.is_pair:
            figures |= self._position_bias(judge, said)
        return figures

    def _position_bias(self, judge: OpenedJudge, said: Mapping[str, Answer]) -> dict[str, float]:
        shown_first, apart = [], []
        for question in self.by_example.values():
            pair = [said[each.key] for each in _orders(question)]
            if all(answer.error is None for answer in pair):
                first, second = (judge.score(str(answer.prediction)) for answer in pair)
                shown_first.append((first + second) / 2.0)
                apart.append(first != 1.0 - second)
        if not apart:
            return {}
        return {"position_bias": float(np.mean(shown_first)) - 0.5, "orders_disagree": float(np.mean(apart))}


@dataclass(frozen=True)
class _JudgedRow:
    score: float
    error: str | None = None
    first: float = float("nan")
    second: float = float("nan")
    unanswered: bool = False


def _orders(question: JudgeQuestion) -> tuple[JudgeQuestion, ...]:
    return (question,) if question.other is None else (question, question.swapped)
