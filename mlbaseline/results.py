"""ResultTable: the rows of one (baseline, seed) with the signature that produced them, and alignment by example."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mlbaseline.errors import DataError, IncomparableError
from mlbaseline.records import Answer, Signature, TaskData

SCORE = "score."
SLICE = "slice."
LOGLIK = "loglik_nats."
FIRST_TOKEN = "first_token_s"
"""Column of a table whose answers were streamed."""
UNANSWERED = "unanswered"
"""Column of a table some of whose rows are errors that asking again may mend; absent where there are none."""
SUM = "sum."

_REQUIRED = (
    "example_id",
    "cluster",
    "target",
    "prediction",
    "tokens_in",
    "tokens_out",
    "latency_s",
    "compute_s",
    "error",
)


@dataclass(frozen=True, eq=False)
class ResultTable:
    """frame: one row an example, columns as `results/examples.parquet` in the contract, sorted by example_id. It is
    never changed in place, so that what is worked out from a table can be kept under the table itself.

    seed: None for a rung that has no randomness.
    """

    baseline: str
    kind: str
    seed: int | None
    signature: Signature
    frame: pd.DataFrame

    @property
    def name(self) -> str:
        return self.baseline if self.seed is None else f"{self.baseline} (seed {self.seed})"

    @property
    def n_unanswered(self) -> int:
        """Rows that are errors because the model could not be reached, not because of what it said."""
        return int(self.frame[UNANSWERED].sum()) if UNANSWERED in self.frame else 0

    def scores(self, metric: str) -> np.ndarray | None:
        """Per-example scores (n,) of a metric, None where this table has none."""
        column = SCORE + metric
        return self.frame[column].to_numpy(dtype=float) if column in self.frame else None

    def logliks(self, labels: Sequence[str]) -> np.ndarray | None:
        """Choice log-likelihoods (n, labels) in nats; None where the model gave none.

        NaN in error rows, and for choices that an example does not have.
        """
        columns = [LOGLIK + label for label in labels]
        return self.frame[columns].to_numpy(dtype=float) if set(columns) <= set(self.frame) else None

    def save(self, folder: Path) -> None:
        """Write `examples.parquet` and `signature.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.frame.to_parquet(folder / "examples.parquet", index=False)
        save_signature(self.signature, folder)


def save_signature(signature: Signature, folder: Path) -> None:
    """Write `signature.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(signature.fields), indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "signature.json").write_text(text + "\n", encoding="utf-8")


def load_table(folder: Path, *, baseline: str, kind: str, seed: int | None) -> ResultTable:
    """Read back what `ResultTable.save` wrote. Raises DataError if the rows are not a valid table."""
    signature = Signature(json.loads((folder / "signature.json").read_text(encoding="utf-8")))
    frame = pd.read_parquet(folder / "examples.parquet")
    table = ResultTable(baseline, kind, seed, signature, frame)
    _validate(table)
    return table


def tabulate(
    data: TaskData, answers: Iterable[Answer], *, baseline: str, kind: str, seed: int | None, signature: Signature
) -> ResultTable:
    """Join answers to their examples. Raises DataError if an example is unanswered, answered twice, or unknown."""
    by_id: dict[str, Answer] = {}
    for answer in answers:
        if answer.example_id in by_id:
            raise DataError(
                f"{baseline}: example {answer.example_id!r} was answered twice; each needs exactly one answer"
            )
        by_id[answer.example_id] = answer
    examples = sorted(data.examples, key=lambda example: example.id)
    missing = [example.id for example in examples if example.id not in by_id]
    if missing or len(by_id) != len(examples):
        unknown = sorted(by_id.keys() - {example.id for example in examples})
        raise DataError(
            f"{baseline}: {len(missing)} of {len(examples)} examples have no answer (first: {missing[:3]}), "
            f"{len(unknown)} answers belong to no example (first: {unknown[:3]})"
        )
    ordered = [by_id[example.id] for example in examples]
    columns: dict[str, object] = {
        "example_id": [example.id for example in examples],
        "cluster": pd.array([example.cluster for example in examples], dtype="string"),
    }
    for name in examples[0].slices:
        columns[SLICE + name] = [example.slices[name] for example in examples]
    columns["target"] = [example.target for example in examples]
    if any(example.references for example in examples):
        columns["references"] = [list(example.references) for example in examples]
    columns["prediction"] = pd.array([answer.prediction for answer in ordered], dtype="string")
    if any(answer.raw is not None for answer in ordered):
        columns["raw"] = pd.array([answer.raw for answer in ordered], dtype="string")
    if any(answer.samples for answer in ordered):
        columns["samples"] = [list(answer.samples) for answer in ordered]
    for name in sorted({name for answer in ordered for name in answer.scores}):
        columns[SCORE + name] = [answer.scores.get(name, np.nan) for answer in ordered]
    if any(answer.loglik_nats for answer in ordered):
        for position, label in enumerate(data.labels):
            columns[LOGLIK + label] = [_at(a.loglik_nats, position) for a in ordered]
    for name in sorted({name for answer in ordered for name in answer.sums}):
        columns[SUM + name] = [answer.sums.get(name, np.nan) for answer in ordered]
    columns |= _spent(ordered)
    if any(answer.unanswered for answer in ordered):
        columns[UNANSWERED] = [answer.unanswered for answer in ordered]
    columns["truncated"] = [answer.truncated for answer in ordered]
    columns["error"] = pd.array([answer.error for answer in ordered], dtype="string")
    table = ResultTable(baseline, kind, seed, signature, pd.DataFrame(columns))
    _validate(table)
    return table


def _spent(answers: Sequence[Answer]) -> dict[str, object]:
    """Columns of what the answers took: tokens, time, money."""
    columns: dict[str, object] = {
        "tokens_in": [answer.tokens_in for answer in answers],
        "tokens_out": [answer.tokens_out for answer in answers],
        "latency_s": np.array([_or_nan(answer.latency_s) for answer in answers], dtype=float),
        "compute_s": [answer.compute_s for answer in answers],
    }
    if any(answer.cost_usd is not None for answer in answers):
        columns["cost_usd"] = np.array([_or_nan(answer.cost_usd) for answer in answers], dtype=float)
    if any(answer.first_token_s is not None for answer in answers):
        columns[FIRST_TOKEN] = np.array([_or_nan(answer.first_token_s) for answer in answers], dtype=float)
    return columns


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _at(nats: Sequence[float], position: int) -> float:
    """NaN where the example has no such choice, or the answer no likelihoods."""
    return nats[position] if position < len(nats) else float("nan")


def align(tables: Sequence[ResultTable]) -> None:
    """Check that all tables hold the same examples; sorted by example_id, their rows then pair by position.

    Raises IncomparableError naming the two tables and the first ids that only one of them has.
    """
    first = tables[0]
    ours = first.frame["example_id"].to_numpy()
    for other in tables[1:]:
        theirs = other.frame["example_id"].to_numpy()
        if ours.shape != theirs.shape or not np.array_equal(ours, theirs):
            only_ours, only_theirs = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
            raise IncomparableError(
                f"{first.name} and {other.name} do not hold the same examples: {len(only_ours)} only in the first "
                f"({only_ours[:3]}), {len(only_theirs)} only in the second ({only_theirs[:3]}). "
                "Evaluate both on the same split of the same data."
            )


def _validate(table: ResultTable) -> None:
    missing = [column for column in _REQUIRED if column not in table.frame]
    if missing:
        raise DataError(f"{table.name}: the result table lacks the columns {missing}; it has {list(table.frame)}")
    ids = table.frame["example_id"]
    if not len(ids):
        raise DataError(f"{table.name}: the result table has no rows")
    if ids.duplicated().any():
        raise DataError(f"{table.name}: example_id {ids[ids.duplicated()].iloc[0]!r} stands in more than one row")
    if not ids.is_monotonic_increasing:
        raise DataError(f"{table.name}: the rows of a result table must be sorted by example_id")


@dataclass(frozen=True)
class Evaluation:
    """A completed evaluation as the tracking server holds it: the rows, and what was measured around them.

    facts: what the run says of the machine, the software and the prices that it was measured with (`hardware.*`,
    `software.*`, `cost.*`).
    """

    run_id: str
    table: ResultTable
    measured: Mapping[str, float]
    facts: Mapping[str, str] = field(default_factory=dict)
