"""Answers that were computed elsewhere, in a file with a row per example, and per seed if it has that column."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.metrics import METRICS
from mlbaseline.models.row_errors import RowErrors
from mlbaseline.records import UNKNOWN, Answer, Example, OutputType, Scalar, TaskData
from mlbaseline.suite import METRIC_NAMES
from mlbaseline.values import NumberedRow, as_number, as_text, is_missing

AnswersBySeed = Mapping[int | None, Mapping[str, Answer]]
"""seed ─▶ example id ─▶ answer. The seed None: the file has no seeds."""

_SCORE, _LOGLIK = "score.", "loglik_nats."
_RANGES = {"brier": (0.0, 2.0), "nll_nats": (0.0, math.inf)}
"""Of scores that are not between 0 and 1."""
_SUMS = ("nats", "tokens")
_MOST_TOKENS = 2**53
"""Whole numbers beyond it are no longer exact as floats."""
"""Columns of a perplexity task."""
_WITHOUT_PROMPT = ("trivial", "human")


class RecordedAnswers:
    """Recorded answers of one seed, as a `records.Model`."""

    def __init__(
        self, kind: str, answers: Mapping[str, Answer], sha256: str, known: Mapping[str, Scalar] | None = None
    ) -> None:
        """Take the answers of one seed.

        Args:
            kind: of the baseline.
            answers: by example id.
            sha256: of the file that the answers come from.
            known: what the file records of how they were computed, as fields of a signature.
        """
        self._kind, self._answers, self._sha256, self._known = kind, answers, sha256, known or {}

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer every example, in their order."""
        return (self._answers[example.id] for example in examples)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return what is known of the answers, as fields of a signature; "unknown" where their file does not say."""
        fields: dict[str, Scalar] = {"model.kind": self._kind, "model.recorded_sha256": self._sha256}
        if any(answer.scores and not answer.error for answer in self._answers.values()):
            fields["metric.version"] = UNKNOWN  # the source's own scores, by the source's own definition
        if self._kind not in _WITHOUT_PROMPT:
            unknown = ("model.sha256", "prompt.template", "prompt.chat_template", "prompt.shots")
            fields |= dict.fromkeys((*unknown, "engine.version", "engine.precision"), UNKNOWN)
            fields |= self._known
        return fields


def check_seeds(answers: AnswersBySeed, registered: Collection[int], *, needs_seed: bool, where: str) -> None:
    """Raise DataError for seeds that the suite does not have, and for a random baseline without seeds."""
    extra = sorted(seed for seed in answers if seed is not None and seed not in registered)
    if extra:
        raise DataError(
            f"{where}: the recorded answers have the seeds {extra}, which are not among the suite's seeds "
            f"{sorted(registered)}. Add them to `seeds`, or remove their rows."
        )
    if None in answers and needs_seed:
        raise DataError(
            f"{where}: this baseline is trained or drawn with a seed, and the recorded answers have none. Add the "
            "column `seed`."
        )


def read_answers(rows: Sequence[NumberedRow], data: TaskData, *, where: str) -> AnswersBySeed:
    """Read the answers to the examples of a split from rows, joined by `example_id`.

    Columns beside it: `prediction` (a label, or where the task has none a text), `score.<metric>` (a per-example
    metric, by the source's own count), `loglik_nats.<label>` for every label, `nats` and `tokens` (negative
    log-likelihood and length of a text); optionally `seed`, `latency_s`, `tokens_in`, `tokens_out`, `cost_usd` and
    `error`. Other columns are ignored. A row with an `error` is a failure, whatever its other columns.

    Raises:
        DataError: with all errors: unknown, missing and repeated ids, unknown labels, cells that are no numbers.
    """
    _check_columns(rows[0][1], data.labels, where)
    reader = _AnswerReader(data, rows[0][1])
    answers: dict[int | None, dict[str, Answer]] = {}
    for number, values in rows:
        reader.read(number, values, answers)
    reader.check_complete(answers)
    reader.errors.raise_any(f"{where}: the recorded answers do not fit the suite")
    return dict(sorted(answers.items(), key=lambda item: item[0] or 0))


def _check_columns(columns: Iterable[str], labels: Sequence[str], where: str) -> None:
    columns = list(columns)
    scores = [name.removeprefix(_SCORE) for name in columns if name.startswith(_SCORE)]
    output_type = OutputType.MULTIPLE_CHOICE if labels else OutputType.GENERATE_UNTIL
    per_example = [name for name in METRIC_NAMES[output_type] if METRICS[name].per_example]
    wrong = [f"score.{name}" for name in scores if name not in per_example]
    if wrong:
        raise DataError(
            f"{where}: {', '.join(wrong)}: no metric of single examples is called so; there is: "
            f"{', '.join(_SCORE + name for name in per_example)}. What is measured over all examples together, "
            "such as macro_f1, follows from the column `prediction`."
        )
    if "example_id" not in columns or not (scores or {"prediction", "nats"} & set(columns)):
        raise DataError(
            f"{where}: expected the column example_id, and prediction, score.<metric> or nats; got: "
            f"{', '.join(columns)}"
        )
    some = [name for name in columns if name.startswith(_LOGLIK)]
    if some and not {_LOGLIK + label for label in labels} <= set(some):
        raise DataError(
            f"{where}: expected a column loglik_nats.<label> for each of the labels {list(labels)}, got: "
            f"{', '.join(some)}"
        )


class _AnswerReader:
    """Reads answers from rows, and collects their errors."""

    def __init__(self, data: TaskData, columns: Collection[str]) -> None:
        self._data = data
        self._labels = {example.id: data.labels[: len(example.choices)] for example in data.examples}
        self._scores = [name.removeprefix(_SCORE) for name in columns if name.startswith(_SCORE)]
        self._has_logliks = any(name.startswith(_LOGLIK) for name in columns)
        self.errors = RowErrors()

    def read(self, number: int, values: Mapping[str, Any], answers: dict[int | None, dict[str, Answer]]) -> None:
        id = "" if is_missing(values["example_id"]) else as_text(values["example_id"])
        if id not in self._labels:
            self.errors.add(
                f"ids that are not in the split {self._data.split}; remove their rows, or take the ids from the sheet "
                "that `mlbaseline export` writes",
                f"row {number}: {id!r}",
            )
            return
        seed = self._seed(number, values)
        if seed is None and "seed" in values:
            self.errors.add("rows without a seed although the file has the column", f"row {number}")
            return
        of_seed = answers.setdefault(seed, {})
        if id in of_seed:
            self.errors.add("rows that repeat an example; keep one of each", f"row {number}: {id!r}")
            return
        of_seed[id] = self._answer(number, id, values)

    def check_complete(self, answers: AnswersBySeed) -> None:
        for seed, by_id in answers.items():
            missing = [example.id for example in self._data.examples if example.id not in by_id]
            of_seed = "" if seed is None else f" of seed {seed}"
            self.errors.add(
                f"examples of the split {self._data.split} without a row{of_seed}; give each one, with `error` where "
                "it failed",
                *map(repr, missing),
            )

    def _seed(self, number: int, values: Mapping[str, Any]) -> int | None:
        seed = self._number(number, values, "seed", whole=True)
        return None if seed is None else int(seed)

    def _answer(self, number: int, id: str, values: Mapping[str, Any]) -> Answer:
        error = None if is_missing(values.get("error")) else str(values["error"])
        prediction = None if error else self._prediction(number, values)
        scores = self._failed_scores() if error else self._given_scores(number, values)
        logliks = () if error else self._logliks(number, values, self._labels[id])
        sums = {} if error else self._sums(number, values)
        if error is None and prediction is None and not self._scores and "nats" not in sums:
            self.errors.add("rows with neither a prediction nor an error", f"row {number}")
        return Answer(
            id,
            prediction,
            logliks,
            scores=scores,
            tokens_in=int(self._number(number, values, "tokens_in", high=_MOST_TOKENS, whole=True) or 0),
            tokens_out=int(self._number(number, values, "tokens_out", high=_MOST_TOKENS, whole=True) or 0),
            latency_s=self._number(number, values, "latency_s"),
            error=error,
            cost_usd=self._number(number, values, "cost_usd"),
            sums=sums,
        )

    def _sums(self, number: int, values: Mapping[str, Any]) -> dict[str, float]:
        sums = {name: self._number(number, values, name) for name in _SUMS if not self._data.labels}
        return {name: value for name, value in sums.items() if value is not None}

    def _prediction(self, number: int, values: Mapping[str, Any]) -> str | None:
        if is_missing(values.get("prediction")):
            # An empty text is an answer; an empty cell is not.
            return None if self._data.labels or values.get("prediction") is None else str(values["prediction"])
        label = as_text(values["prediction"])
        if self._data.labels and label not in self._data.labels:
            labels = list(self._data.labels)
            kind = f"predictions that are none of the labels {labels}; an answer that fits none is an `error`"
            self.errors.add(kind, f"row {number}: {label!r}")
        return label

    def _given_scores(self, number: int, values: Mapping[str, Any]) -> dict[str, float]:
        scores = {}
        for name in self._scores:
            column = _SCORE + name
            score = self._number(number, values, column, *_RANGES.get(name, (0.0, 1.0)))
            if score is not None:
                scores[name] = score
            elif is_missing(values[column]):
                # Without a score it would leave every comparison; failed examples must stay in.
                self.errors.add(f"rows without {column}; say `error` where it failed", f"row {number}")
        return scores

    def _failed_scores(self) -> dict[str, float]:
        """Return the scores of an error row: wrong, with the same probability for every choice (see `metrics`)."""
        if not self._data.labels:
            return dict.fromkeys(self._scores, 0.0)
        k = len(self._data.labels)
        worst = {"accuracy": 0.0, "nll_nats": math.log(k), "brier": 1.0 - 1.0 / k}
        return {name: worst[name] for name in self._scores}

    def _logliks(self, number: int, values: Mapping[str, Any], labels: Sequence[str]) -> tuple[float, ...]:
        if not self._has_logliks:
            return ()
        nats = [self._number(number, values, _LOGLIK + label, low=-math.inf) for label in labels]
        given = tuple(value for value in nats if value is not None)
        return given if len(given) == len(nats) else ()

    def _number(
        self,
        number: int,
        values: Mapping[str, Any],
        column: str,
        low: float = 0.0,
        high: float = math.inf,
        *,
        whole: bool = False,
    ) -> float | None:
        value = values.get(column)
        try:
            parsed = as_number(value)
        except ValueError:
            parsed = math.nan
        if parsed is None:
            return None
        if not (math.isfinite(parsed) and low <= parsed <= high) or (whole and not parsed.is_integer()):
            least = "" if low == -math.inf else f" of at least {low:g}"
            bounds = least if high >= _MOST_TOKENS else f" from {low:g} to {high:g}"
            kind = f"cells of {column} that are not a {'whole ' * whole}number{bounds}"
            self.errors.add(kind, f"row {number}: {value!r}")
            return None
        return float(parsed)
