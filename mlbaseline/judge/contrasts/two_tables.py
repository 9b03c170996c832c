"""Two result tables compared outside of a ladder: every metric overall, nothing registered, nothing decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlbaseline.errors import DataError, IncomparableError
from mlbaseline.judge.contrasts.comparison_row import comparison_row
from mlbaseline.judge.contrasts.inference import contrast
from mlbaseline.judge.contrasts.joint import JointInference
from mlbaseline.judge.contrasts.matrix import PlannedContrast
from mlbaseline.judge.contrasts.pair import ModelPair
from mlbaseline.records import Comparison, Estimand, Role
from mlbaseline.results import ResultTable, align
from mlbaseline.stats import adjust

_SHOWN = 3


def compare_tables(
    candidate: ResultTable, baseline: ResultTable, metrics: Sequence[str], *, labels: Sequence[str], level: float
) -> tuple[Comparison, ...]:
    """Compare two tables over the same examples, by each metric.

    Args:
        candidate: Its scores of single examples are there.
        baseline: The same.
        metrics: Names of metrics.
        labels: What a target may be, for metrics of labels.
        level: Confidence level of the intervals, in (0, 1).

    Returns:
        An exploratory row for each metric, with p-values adjusted over the metrics as those of a ladder (`bh`).

    Raises:
        IncomparableError: The tables do not hold the same examples with the same targets.
        DataError: A metric cannot be computed of one of them, or there are fewer than two examples.
    """
    require_same_examples(candidate, baseline)
    rng, everyone = np.random.default_rng(0), np.ones(len(candidate.frame), dtype=bool)
    pairs = [ModelPair([candidate], [baseline], metric, labels, everyone) for metric in metrics]
    shared = 1.0 - (1.0 - level) / len(pairs)
    found = []
    for pair in pairs:
        alone = contrast(pair, level=level, margin=0.0, rng=rng)
        jointly = contrast(pair, level=shared, margin=0.0, rng=rng)
        if alone is None or jointly is None:
            raise DataError(
                f"{pair.metric}: cannot be computed of {candidate.name} and {baseline.name}: expected at least two "
                f"examples with what the metric needs, got {len(candidate.frame)} with predictions and targets alone"
            )
        found.append((pair.metric, alone, jointly))
    p_adjusted = adjust([alone.p_value for _, alone, _ in found], "bh")
    return tuple(
        comparison_row(
            PlannedContrast(Role.EXPLORATORY, candidate.name, baseline.name, metric, margin=None),
            alone,
            JointInference(float(adjusted), jointly.low, jointly.high),
            level=level,
            estimand=Estimand.CHECKPOINT,
        )
        for (metric, alone, jointly), adjusted in zip(found, p_adjusted, strict=True)
    )


def require_same_examples(candidate: ResultTable, baseline: ResultTable) -> None:
    """Check that two tables hold the same examples with the same targets. Raises IncomparableError."""
    align([candidate, baseline])
    ours, theirs = candidate.frame["target"].to_numpy(), baseline.frame["target"].to_numpy()
    different = np.flatnonzero(ours != theirs)
    if len(different):
        ids = candidate.frame["example_id"].to_numpy()
        shown = ", ".join(f"{ids[i]!r}: {ours[i]!r} against {theirs[i]!r}" for i in different[:_SHOWN])
        raise IncomparableError(
            f"{candidate.name} and {baseline.name} differ in the target of {len(different)} of {len(ours)} examples "
            f"({shown}). Scores against other targets do not pair: evaluate both on the same targets."
        )
