"""ResultTable: the rows of one (baseline, seed) with the signature that produced them, and alignment by example."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlbaseline.errors import DataError, IncomparableError
from mlbaseline.format_versions import RESULT_TABLE
from mlbaseline.records import Signature
from mlbaseline.results.parquet import read_parquet, write_parquet
from mlbaseline.untrusted import expecting, parse_json

SCORE = "score."
SLICE = "slice."
LOGLIK = "loglik_nats."
FIRST_TOKEN = "first_token_s"
"""Column of a table whose answers were streamed."""
UNANSWERED = "unanswered"
"""Column of a table some of whose rows are errors that asking again may mend; absent where there are none."""
SUM = "sum."
BATCH = "batch"
"""Column of a table whose answers were computed in batches: rows of one batch share its time; negative numbers are
batches of an earlier session."""
WEIGHT = "weight"
"""Column of a table of a suite that weighs examples by a column of their data."""
REFERENCE = "reference_s"
"""Column of a table beside whose answers a reference workload was timed."""

_NUMBERS = ("tokens_in", "tokens_out", "latency_s", "compute_s", "cost_usd", FIRST_TOKEN)
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
    """The rows of one baseline and seed, with the signature that they were produced under.

    Attributes:
        baseline: Name in the suite.
        kind: Kind of the baseline, such as `peft`.
        seed: None for a rung that has no randomness.
        signature: Everything that can change a score.
        frame: One row per example, sorted by `example_id`, with the columns of `results/examples.parquet`. It is never
            changed in place, so results that are computed from a table can be cached under it.
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
        """Number of rows that are errors because the model could not be reached."""
        return int(self.frame[UNANSWERED].sum()) if UNANSWERED in self.frame else 0

    def scores(self, metric: str) -> np.ndarray | None:
        """Return the scores per example (n,) of a metric; None where this table has none."""
        column = SCORE + metric
        return self.frame[column].to_numpy(dtype=float) if column in self.frame else None

    def logliks(self, labels: Sequence[str], rows: slice = slice(None)) -> np.ndarray | None:
        """Return the log-likelihoods of the choices (n, labels) in nats; None where the model gave none.

        They are NaN in error rows, and for choices that an example does not have. rows: those that are wanted.
        """
        columns = [LOGLIK + label for label in labels]
        return self.frame[columns].iloc[rows].to_numpy(dtype=float) if set(columns) <= set(self.frame) else None

    def without_unanswered(self) -> ResultTable | None:
        """Return the rows that asking again would not mend; None where there are none."""
        if UNANSWERED not in self.frame:
            return self
        kept = self.frame[~self.frame[UNANSWERED].astype(bool)].drop(columns=UNANSWERED)
        return replace(self, frame=kept.reset_index(drop=True)) if len(kept) else None

    def joined(self, other: ResultTable) -> ResultTable:
        """Return a table with the rows of both, which are answers of one rung to different examples.

        Raises:
            DataError: An example stands in both.
        """
        later = other.frame
        if BATCH in self.frame and BATCH in later:  # no batch of one is a batch of the other
            apart = int(self.frame[BATCH].abs().max()) + 1
            later = later.assign(**{BATCH: later[BATCH] + np.where(later[BATCH] < 0, -apart, apart)})
        frame = pd.concat([self.frame, later], ignore_index=True).sort_values("example_id", ignore_index=True)
        if UNANSWERED in frame:
            frame[UNANSWERED] = frame[UNANSWERED].fillna(False).astype(bool)
        same = [name for name in other.frame if name in self.frame]
        table = replace(self, frame=frame.astype({name: other.frame[name].dtype for name in same}))
        validate(table)
        return table

    def save(self, folder: Path) -> None:
        """Write `examples.parquet` and `signature.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_parquet(self.frame, folder / "examples.parquet", RESULT_TABLE)
        save_signature(self.signature, folder)


def save_signature(signature: Signature, folder: Path) -> None:
    """Write `signature.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(signature.fields), indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "signature.json").write_text(text + "\n", encoding="utf-8")


def load_table(folder: Path, *, baseline: str, kind: str, seed: int | None) -> ResultTable:
    """Read a table that `ResultTable.save` wrote.

    Raises:
        DataError: The rows are not a valid table.
        NewerFormatError: They were written by a later version.

    Example:
        >>> ids, empty = ["a", "b"], [None, None]
        >>> frame = pd.DataFrame({"example_id": ids, "cluster": empty, "target": ["x", "y"], "prediction": ["x", "x"]})
        >>> frame = frame.assign(tokens_in=0, tokens_out=0, latency_s=0.1, compute_s=0.1, error=empty)
        >>> table = ResultTable("majority", "trivial", None, Signature({"data.split": "test"}), frame)
        >>> table.save(Path("results"))
        >>> load_table(Path("results"), baseline="majority", kind="trivial", seed=None).frame["prediction"].tolist()
        ['x', 'x']
    """
    with expecting("a signature", str(path := folder / "signature.json")):
        signature = Signature(dict(parse_json(path.read_text(encoding="utf-8"))))
    frame = read_parquet(folder / "examples.parquet", RESULT_TABLE)
    table = ResultTable(baseline, kind, seed, signature, frame)
    validate(table)
    _check_types(table)
    return table


def align(tables: Sequence[ResultTable]) -> None:
    """Check that all tables hold the same examples. Rows are sorted by example_id, so they then pair by position.

    Raises:
        IncomparableError: Two tables differ. The message names both and the first ids that only one of them has.
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


def validate(table: ResultTable) -> None:
    """Check that a table has the required columns and one row per example, sorted.

    Raises:
        DataError: It has not.
    """
    missing = [column for column in _REQUIRED if column not in table.frame]
    if missing:
        raise DataError(f"{table.name}: the result table lacks the columns {missing}; it has {list(table.frame)}")
    ids = table.frame["example_id"]
    if not len(ids):
        raise DataError(f"{table.name}: the result table has no rows")
    if _is_strictly_increasing(ids):
        return
    if ids.duplicated().any():
        raise DataError(f"{table.name}: example_id {ids[ids.duplicated()].iloc[0]!r} stands in more than one row")
    if not ids.is_monotonic_increasing:
        raise DataError(f"{table.name}: the rows of a result table must be sorted by example_id")


def _is_strictly_increasing(ids: pd.Series[str]) -> bool:
    """Tell whether ids are texts, sorted and different. pandas would make a Python object of each."""
    try:
        texts = pa.array(ids, pa.large_string(), from_pandas=True)
    except (pa.ArrowException, TypeError):
        return False
    return not texts.null_count and pc.all(pc.less(texts[:-1], texts[1:])).as_py() is not False


def _check_types(table: ResultTable) -> None:
    """Check the columns of a table that somebody else may have written; those that we write have these types."""
    frame = table.frame
    texts = ("example_id", "target", "prediction", "error")
    numbers = [name for name in map(str, frame) if name.startswith((SCORE, LOGLIK, SUM)) or name in (*_NUMBERS, WEIGHT)]
    flags = [name for name in (UNANSWERED, "truncated") if name in frame]
    for names, fits, expected in (
        (texts, _is_text, "texts"),
        (numbers, pd.api.types.is_numeric_dtype, "numbers"),
        (flags, pd.api.types.is_bool_dtype, "truth values"),
    ):
        if wrong := [name for name in names if not fits(frame[name])]:
            raise DataError(f"{table.name}: expected {expected} in the columns {wrong} of the result table")


def _is_text(column: pd.Series) -> bool:
    return bool(column.isna().all()) or pd.api.types.infer_dtype(column, skipna=True) == "string"


@dataclass(frozen=True)
class CompletedEvaluation:
    """A completed evaluation as the tracking server holds it.

    Attributes:
        run_id: The evaluation run.
        table: Its rows.
        measured: What was measured around the rows: training time, peak memory, scores on `dev`, and so on.
        facts: What it was measured with: machine, software, prices, and what it was judged against (`hardware.*`,
            `software.*`, `cost.*`, `judge.*`).
        is_measured_digested: Whether a digest of the run covers `measured` and `facts`; not of runs of version 0.1.0.
    """

    run_id: str
    table: ResultTable
    measured: Mapping[str, float]
    facts: Mapping[str, str] = field(default_factory=dict)
    is_measured_digested: bool = True
