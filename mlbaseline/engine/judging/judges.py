"""Judges: what opens one, what its scores depend on, and what it says of questions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mlbaseline.cache import cache_dir
from mlbaseline.engine.judging.questions import JUDGING_VERSION, JudgeQuestion, write_question
from mlbaseline.errors import SuiteError, describe_error
from mlbaseline.models.heuristic import find_source, load_function
from mlbaseline.nested import flattened
from mlbaseline.progress import progress_bar
from mlbaseline.records import Answer, Example, Model, Scalar, digest_of
from mlbaseline.suite import JudgedMetric, Scorer, Suite
from mlbaseline.tasks import Fetch
from mlbaseline.tasks.prompting import Prompting

if TYPE_CHECKING:
    from mlbaseline.models.endpoint.answer_journal import AnswerJournal

FIELD = "judge."
"""Prefix of the fields of a signature, and of the parameters and figures of a run, that are about a judge."""
Score = Callable[[dict[str, Any]], Any]
"""From the fields of a question to a score from 0 to 1."""
FindScorer = Callable[[str, Scorer], tuple[Score, Mapping[str, Scalar]]]
"""Path in the suite and name with options ─▶ the scorer of MLflow, and what its scores depend on."""
_TRUE, _FALSE = ("yes", "true", "pass"), ("no", "false", "fail")


@dataclass(frozen=True)
class OpenedJudge:
    """A judge that can be asked.

    Attributes:
        model: Answers questions as examples of a choice task.
        write: Question ─▶ its words.
        options: What may be said; () where a number is.
        score: What was said ─▶ the score from 0 to 1 of the (first) answer.
        is_drifting: Whether the same question may be answered otherwise at another time.
    """

    model: Callable[[AnswerJournal], Model]
    journal: Path
    options: tuple[str, ...]
    write: Callable[[JudgeQuestion], str]
    score: Callable[[str], float]
    is_drifting: bool

    def ask(self, questions: Sequence[JudgeQuestion], journal: Path | None = None) -> dict[str, Answer]:
        """Ask each question once, unless it is answered already.

        Args:
            questions: Equal ones are one.
            journal: Holds what was answered already; by default all that this judge ever answered.

        Returns:
            Key of a question ─▶ what was said.
        """
        from mlbaseline.models.endpoint.answer_journal import AnswerJournal

        examples = {question.key: question.example(self.write(question), self.options) for question in questions}
        model = self.model(AnswerJournal(journal or self.journal))
        return {answer.example_id: answer for answer in model.answer(list(examples.values()))}

    def answered(self) -> set[str]:
        """Return the keys of the questions that were answered before."""
        from mlbaseline.models.endpoint.answer_journal import AnswerJournal

        return set(AnswerJournal(self.journal).load())


def judge_fields(suite: Suite, name: str, fetch: Fetch, find_scorer: FindScorer | None) -> dict[str, Scalar]:
    """Return what the scores of a judged metric depend on, as fields of a signature. No code of the suite is run.

    Args:
        suite: With the metric.
        name: Of the metric.
        fetch: Brings a file of scores to this machine.
        find_scorer: Finds a scorer of MLflow; None where there is no connection to a server.
    """
    metric = suite.judged[name]
    said = metric.distinguishing()
    judge = said.pop("judge")
    fields: dict[str, Scalar] = {"version": JUDGING_VERSION, "way": metric.judge.way}
    fields |= {"rubric_sha256": _sha256(metric.rubric or ""), "options": ",".join(metric.options)}
    fields |= {"show_target": metric.show_target, "order": "both" if metric.against else "one"}
    if metric.against is not None:
        fields |= {"against": metric.against, "against_spec": _spec_digest(suite, metric.against)}
    fields |= dict(flattened(judge))
    if metric.judge.function is not None:
        source = find_source(metric.judge.function, suite.root, _where(name, "function"))
        fields["source_sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
    if metric.judge.recorded is not None:
        fields["recorded.sha256"] = fetch(metric.judge.recorded.asset).sha256
    if metric.judge.scorer is not None and find_scorer is not None:
        fields |= find_scorer(_where(name, "scorer"), metric.judge.scorer)[1]
    return {f"{FIELD}{name}.{key}": value for key, value in fields.items()}


def open_judge(
    suite: Suite, name: str, fields: Mapping[str, Scalar], find_scorer: FindScorer | None, *, quiet: bool = False
) -> OpenedJudge:
    """Open the judge of a metric that is asked: an endpoint, a function, or a scorer.

    Args:
        suite: With the metric.
        name: Of the metric.
        fields: See `judge_fields`.
        find_scorer: See `judge_fields`.
        quiet: Whether no progress is shown.

    Raises:
        SuiteError: The function or the scorer cannot be had.
        EndpointError: The endpoint's key is not set, or its host may not see it.
    """
    metric = suite.judged[name]
    journal = cache_dir() / "judgements" / f"{digest_of(dict(fields))}.jsonl"
    description = None if quiet else f"{name} · judge"
    if metric.judge.endpoint is not None:
        return _endpoint(metric, name, journal, description)
    if metric.judge.function is not None:
        function, _ = load_function(metric.judge.function, suite.root, _where(name, "function"))
    elif find_scorer is not None and metric.judge.scorer is not None:
        function, _ = find_scorer(_where(name, "scorer"), metric.judge.scorer)
    else:
        raise SuiteError(_where(name, "scorer"), ["expected a tracking server to take the scorer from, got none"])
    score = _scale_of(metric)
    return OpenedJudge(
        model=lambda kept: _Called(function, score, kept, description),
        journal=journal,
        options=(),
        write=lambda _: "",
        score=float,
        is_drifting=False,
    )


def _endpoint(metric: JudgedMetric, name: str, journal: Path, description: str | None) -> OpenedJudge:
    from mlbaseline.models.endpoint import EndpointModel, read_key
    from mlbaseline.models.endpoint.protocols import make_request_format

    spec, where = metric.judge.endpoint, _where(name, "endpoint")
    assert spec is not None
    read_key(spec, where)  # refuses what may not be asked before anything is answered
    format = make_request_format(spec, Prompting("{question}"), ("question",), metric.options, spec.seed)
    return OpenedJudge(
        model=lambda kept: EndpointModel(spec, format, kept, where=where, description=description),
        journal=journal,
        options=metric.options,
        write=lambda question: write_question(question, metric),
        score=metric.score_of,
        is_drifting=True,
    )


class _Called:
    """A function as a model: its score, as a text, is the prediction. An exception or an odd value is an error."""

    def __init__(
        self, function: Score, scale: Callable[[Any], float], journal: AnswerJournal, description: str | None
    ) -> None:
        self._function, self._scale, self._journal, self._description = function, scale, journal, description

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        stored = self._journal.load()
        waiting = [example for example in examples if example.id not in stored]
        yield from (stored[example.id] for example in examples if example.id in stored)
        with progress_bar(len(waiting), "example", self._description, is_brief=True) as bar:
            for example in waiting:
                answer = self._call(example)
                if answer.error is None:
                    self._journal.add(answer)
                bar.update()
                yield answer

    def _call(self, example: Example) -> Answer:
        fields = {name: value for name, value in example.fields.items() if name != "question"}
        start_s = perf_counter()
        try:
            score = self._scale(self._function(fields))
        except Exception as raised:  # whatever the user's function raises is this answer's error
            return Answer(example.id, None, error=describe_error(raised), latency_s=perf_counter() - start_s)
        return Answer(example.id, repr(score), latency_s=perf_counter() - start_s)


def _scale_of(metric: JudgedMetric) -> Callable[[Any], float]:
    """From what a function or a scorer returns to a score from 0 to 1."""
    is_scaled = metric.judge.scorer is not None and metric.scale is not None
    worst, best = metric.scale or (0, 1)

    def scale(value: Any) -> float:
        if isinstance(value, str) and value.strip().casefold() in (*_TRUE, *_FALSE):
            value = value.strip().casefold() in _TRUE
        score = float(value)
        if is_scaled and not isinstance(value, bool):
            score = (score - worst) / (best - worst)
        if not 0.0 <= score <= 1.0:
            bounds = f"{worst} to {best}" if is_scaled else "0 to 1"
            raise ValueError(f"expected a score from {bounds}, got {value!r}")
        return score

    return scale


def _where(name: str, way: str) -> str:
    return f"metrics.{name}.judge.{way}"


def _spec_digest(suite: Suite, baseline: str) -> str:
    """Digest of what the suite says of a baseline, and of the one that it starts from."""
    spec = suite.baselines[baseline]
    base = suite.baselines.get(getattr(spec, "base", ""))
    return digest_of([spec.distinguishing(), None if base is None else base.distinguishing()])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
