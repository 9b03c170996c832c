"""One evaluation with what was measured around its rows, and what was timed in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.records import REMOTE, UNKNOWN
from mlbaseline.results import BATCH, CompletedEvaluation, ResultTable
from mlbaseline.stats import BatchedMean, QuantileEstimate, batched_mean, quantile_interval
from mlbaseline.suite import Suite

Array = npt.NDArray[np.float64]

DEVICE, DEVICE_NAME = "hardware.device", "hardware.device_name"
_PARTS = {"matmul": "reference/matmul_flops_per_s", "copy": "reference/copy_bytes_per_s"}
_PASS_S = "reference/pass_s"


@dataclass(frozen=True)
class MeteredEvaluation:
    """One evaluation with what was measured around its rows.

    hardware: its parameters `hardware.*`. reference_speeds: of the parts of the reference workload, as in `Cost`.
    """

    table: ResultTable
    hardware: Mapping[str, object]
    train_s: float | None = None
    trainable_params: float | None = None
    peak_memory_bytes: float | None = None
    reference_speeds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, evaluation: CompletedEvaluation) -> MeteredEvaluation:
        measured = evaluation.measured
        speeds = {part: measured[name] for part, name in _PARTS.items() if measured.get(name, 0.0) > 0.0}
        if measured.get(_PASS_S, 0.0) > 0.0:
            speeds["pass"] = 1.0 / measured[_PASS_S]
        return cls(
            evaluation.table,
            evaluation.facts,
            train_s=measured.get("train_s"),
            trainable_params=measured.get("trainable_params"),
            peak_memory_bytes=measured.get("peak_memory_bytes"),
            reference_speeds=speeds,
        )

    @property
    def is_ours(self) -> bool:
        """Whether it was computed on hardware that is known, so that its seconds are worth something."""
        return self.table.kind != "human" and self.hardware.get(DEVICE, UNKNOWN) not in (UNKNOWN, REMOTE)

    @property
    def devices_in_training(self) -> int:
        """How many devices the training is paid for: a GPU for each process; the processes of a CPU share it."""
        processes = self.table.signature.fields.get("training.processes") or 1
        return 1 if self.hardware.get(DEVICE) == "cpu" else int(processes)

    def hourly_price(self, suite: Suite) -> float | None:
        if not self.is_ours:
            return None
        return suite.cost.hourly_price(str(self.hardware.get(DEVICE_NAME, "")), str(self.hardware[DEVICE]))


@dataclass(frozen=True)
class Timings:
    """Seconds (n,) of every query that was timed alone, those of all seeds together.

    of: what each is an observation of, its cluster or the query itself, as a number (n,).
    """

    seconds: Array
    of: npt.NDArray[np.intp]

    @property
    def n_queries(self) -> int:
        return int(np.count_nonzero(np.bincount(self.of)))  # numpy 2.3 takes a hash set for `unique`: 40 bytes for each

    def quantiles(self, wanted: Mapping[str, float], level: float) -> dict[str, QuantileEstimate]:
        """Each quantile with its interval; none without a timing."""
        if not len(self.seconds):
            return {}
        return {name: quantile_interval(self.seconds, q, clusters=self.of, level=level) for name, q in wanted.items()}


def timings(metered: Sequence[MeteredEvaluation], *, column: str = "latency_s") -> Timings:
    """Collect the timings of a rung's queries, or what another column has for the queries that were timed alone."""
    frames = [run.table.frame for run in metered]
    timed = [frame["latency_s"].notna().to_numpy() for frame in frames]
    seconds = [frame[column].to_numpy(dtype=float)[rows] for frame, rows in zip(frames, timed, strict=True)]
    return Timings(np.concatenate(seconds), _number_queries(frames, timed))


def _number_queries(frames: Sequence[pd.DataFrame], timed: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.intp]:
    """Return for each timing the number of what it is an observation of, (n,). timed: rows of each frame."""
    ids = frames[0]["example_id"]
    # The usual case by itself: to number a million names takes 150 MB.
    is_each_alone = all(each["cluster"].isna().all() for each in frames)
    if is_each_alone and all(each["example_id"].equals(ids) for each in frames[1:]):
        return np.concatenate([np.flatnonzero(rows) for rows in timed])
    of = [
        each.loc[rows, "cluster"].fillna(each.loc[rows, "example_id"]) for each, rows in zip(frames, timed, strict=True)
    ]
    numbers: npt.NDArray[np.intp] = pd.factorize(pd.concat(of))[0]
    return numbers


def batched(tables: Sequence[ResultTable], values: Array, level: float) -> BatchedMean | None:
    """Average values (runs, n) that are shares of batches; None where the tables do not know their batches."""
    frames = [table.frame for table in tables]
    if any(BATCH not in frame for frame in frames) or len({len(frame) for frame in frames}) > 1:
        return None
    sizes = np.stack([(f["tokens_in"] + f["tokens_out"]).to_numpy(dtype=float) for f in frames])
    batches = np.stack([frame[BATCH].to_numpy(dtype=np.int64) for frame in frames])
    clusters = clusters_of(tables[0], np.ones(values.shape[1], dtype=bool))
    return batched_mean(values, np.maximum(sizes, 1.0), batches, clusters=clusters, level=level)
