"""The rows of one contrast with everything that they can be cut by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.metrics import read_rows
from mlbaseline.records import loss_measure
from mlbaseline.results import SLICE, SUM, ResultTable

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]

TOKENS, LATENCY, UNCERTAINTY = "tokens in", "latency (s)", "uncertainty of the baseline (nats)"
"""Measures that every contrast is cut by, in thirds, where they are known; with them goes the loss of a third rung.

`records.is_measure` tells them from slices.
"""


@dataclass(frozen=True)
class Sample:
    """candidate, baseline (n,): scores of both sides on the same examples, none missing.

    clusters, units (n,): labels, `units` with the example itself where there are no clusters. values: slice ─▶ (n,) its
    values. measures: name ─▶ (n,) numbers, NaN where not known.
    """

    candidate: Array
    baseline: Array
    clusters: Labels | None
    units: Labels
    values: dict[str, Labels]
    measures: dict[str, Array]

    def __len__(self) -> int:
        return len(self.candidate)

    def take(self, rows: Mask) -> Sample:
        return Sample(
            self.candidate[rows],
            self.baseline[rows],
            None if self.clusters is None else self.clusters[rows],
            self.units[rows],
            {name: values[rows] for name, values in self.values.items()},
            {name: numbers[rows] for name, numbers in self.measures.items()},
        )


def sample_of(
    candidate: ResultTable, baseline: ResultTable, third: ResultTable | None, labels: Sequence[str], metric: str
) -> Sample | None:
    """Collect the scored rows of two aligned tables; None where a side lacks the metric.

    third: a rung that is neither side, whose loss says how difficult an example is. The loss of a side itself would
    not do: where the baseline was right it can only be lost to, whoever the candidate is.
    """
    ours, theirs = candidate.scores(metric), baseline.scores(metric)
    if ours is None or theirs is None:
        return None
    scored = ~np.isnan(ours) & ~np.isnan(theirs)
    frame = candidate.frame
    clusters = clusters_of(candidate, scored)
    measures = {
        TOKENS: frame["tokens_in"].to_numpy(dtype=float),
        LATENCY: frame["latency_s"].to_numpy(dtype=float),
        **({loss_measure(third.baseline): _loss(third, labels)} if third else {}),
        UNCERTAINTY: _entropy(baseline, labels),
    }
    return Sample(
        ours[scored],
        theirs[scored],
        clusters,
        frame["example_id"].to_numpy(dtype=object)[scored] if clusters is None else clusters,
        {
            name.removeprefix(SLICE): frame[name].to_numpy(dtype=object)[scored]
            for name in map(str, frame)
            if name.startswith(SLICE)
        },
        {name: numbers[scored] for name, numbers in measures.items() if numbers is not None},
    )


def _loss(table: ResultTable, labels: Sequence[str]) -> Array | None:
    """Negative log-likelihood of the target (n,), in nats."""
    if not labels:
        return table.frame[SUM + "nats"].to_numpy(dtype=float) if SUM + "nats" in table.frame else None
    rows = read_rows(table, labels)
    return None if rows.log_probs is None else -rows.log_probs[np.arange(len(rows.target)), rows.target]


def _entropy(table: ResultTable, labels: Sequence[str]) -> Array | None:
    """Of the answer's distribution over the choices (n,), in nats: it knows nothing of the target."""
    log_probs = read_rows(table, labels).log_probs if labels else None
    if log_probs is None:
        return None
    entropy: Array = entr(np.exp(log_probs)).sum(axis=1)  # a choice without probability adds nothing
    return entropy
