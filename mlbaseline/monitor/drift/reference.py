"""What live traffic is compared with: the reference's loss, lengths, latency and cost on its evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlbaseline.errors import IncomparableError
from mlbaseline.monitor.cohorts import OVERALL, WatchedSlice
from mlbaseline.monitor.event_arrays import Floats
from mlbaseline.results import SLICE, ResultTable
from mlbaseline.stats import estimate_mean

_LEVEL = 0.9
"""Of the two-sided interval: its upper end is a one-sided limit of 95 %."""
_FEWEST = 5
"""Examples of a slice value below which nothing can be said about its loss."""


@dataclass(frozen=True)
class ReferenceLoss:
    """The recorded loss on one slice value. upper: its one-sided 95 % upper confidence limit."""

    loss: float
    upper: float
    n: int


@dataclass(frozen=True, eq=False)
class RecordedReference:
    """What was recorded of the reference.

    Attributes:
        baseline: Its name in the suite.
        metric: Score whose loss (1 − score) is watched.
        losses: Slice value ─▶ its loss. `OVERALL` is among them.
        shares: Slice ─▶ value ─▶ share of the examples.
        tokens_in: Lengths of the recorded prompts in tokens, sorted; empty where unknown.
        latency_s: Recorded latencies, sorted; empty where unknown.
        cost_usd: Recorded cost of a query, NaN where unknown.
        run_ids: Runs that it was read from.
    """

    baseline: str
    metric: str
    losses: Mapping[WatchedSlice, ReferenceLoss]
    shares: Mapping[str, Mapping[str, float]]
    tokens_in: Floats
    latency_s: Floats
    cost_usd: float
    run_ids: tuple[str, ...]

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of a slice whose loss is known."""
        return tuple(watched.value for watched in self.losses if watched.slice == name and watched.value is not None)


def reference_of(
    tables: Sequence[ResultTable],
    *,
    metric: str,
    slices: Sequence[str],
    run_ids: Sequence[str] = (),
    cost_usd: float = math.nan,
) -> RecordedReference:
    """Read the reference from the tables of its runs, one a seed, on the same examples.

    Args:
        tables: At least one, all of one baseline.
        metric: A score in [0, 1] of each example.
        slices: Watched slices.
        run_ids: Where the tables came from.
        cost_usd: Recorded cost of a query.

    Returns:
        The reference. Slice values with fewer than five examples are left out.

    Raises:
        IncomparableError: A table has no such score, or two differ in their examples.
    """
    frame = tables[0].frame
    scores = [table.scores(metric) for table in tables]
    if any(each is None for each in scores):
        raise IncomparableError(
            f"{tables[0].baseline}: its results have no score.{metric}, which monitor.metric names: evaluate it again"
        )
    if any(list(table.frame["example_id"]) != list(frame["example_id"]) for table in tables[1:]):
        raise IncomparableError(f"{tables[0].baseline}: its seeds answered different examples: evaluate it again")
    losses = 1.0 - np.stack([np.nan_to_num(each) for each in scores if each is not None])
    clusters = frame["cluster"].to_numpy()
    members = {OVERALL: np.ones(len(frame), dtype=bool)}
    shares: dict[str, dict[str, float]] = {}
    for name in slices:
        column = frame[SLICE + name].astype(str) if SLICE + name in frame else None
        if column is None:
            continue
        shares[name] = {str(value): float(share) for value, share in column.value_counts(normalize=True).items()}
        members |= {WatchedSlice(name, value): (column == value).to_numpy() for value in sorted(shares[name])}
    known = {
        watched: _loss(losses[:, chosen], clusters[chosen])
        for watched, chosen in members.items()
        if chosen.sum() >= _FEWEST
    }
    return RecordedReference(
        baseline=tables[0].baseline,
        metric=metric,
        losses=known,
        shares=shares,
        tokens_in=np.sort(frame["tokens_in"].dropna().to_numpy(dtype=float)),
        latency_s=np.sort(frame["latency_s"].dropna().to_numpy(dtype=float)),
        cost_usd=cost_usd,
        run_ids=tuple(run_ids),
    )


def _loss(losses: Floats, clusters: np.ndarray) -> ReferenceLoss:
    grouped = not pd.isna(clusters).any() and len(set(clusters.tolist())) > 1
    labels = clusters if grouped else None
    estimate = estimate_mean(losses, clusters=labels, level=_LEVEL)
    return ReferenceLoss(estimate.value, min(max(estimate.high, estimate.value), 1.0), losses.shape[1])
