"""A contrast, and what it takes from its family ─▶ a row of the comparison."""

from __future__ import annotations

from mlbaseline.judge.contrasts.inference import ContrastEstimate
from mlbaseline.judge.contrasts.joint import JointInference
from mlbaseline.judge.contrasts.matrix import PlannedContrast
from mlbaseline.records import Comparison, Estimand, Outcome


def comparison_row(
    row: PlannedContrast,
    alone: ContrastEstimate,
    joint: JointInference,
    *,
    level: float,
    estimand: Estimand,
    n_seeds: tuple[int, int] = (1, 1),
    outcome: Outcome | None = None,
) -> Comparison:
    """Make a row of the comparison.

    Args:
        row: What is compared.
        alone: The contrast by itself.
        joint: What it takes from the contrasts that are corrected together.
        level: Confidence level of the intervals, in (0, 1).
        estimand: Whether checkpoints or recipes are compared.
        n_seeds: Runs of the candidate, and of the baseline.
        outcome: None where nothing is decided.
    """
    plain_delta, plain_low, plain_high = alone.plain or (None, None, None)
    return Comparison(
        candidate=row.candidate,
        baseline=row.baseline,
        metric=row.metric,
        slice=row.slice,
        slice_value=row.slice_value,
        role=row.role,
        estimand=estimand,
        n=alone.n,
        n_clusters=alone.n_clusters,
        n_seeds_candidate=n_seeds[0],
        n_seeds_baseline=n_seeds[1],
        candidate_mean=alone.candidate_mean,
        baseline_mean=alone.baseline_mean,
        delta=alone.delta,
        low=alone.low,
        high=alone.high,
        level=level,
        simultaneous_low=joint.low,
        simultaneous_high=joint.high,
        effect_size=alone.effect_size,
        p_value=alone.p_value,
        p_adjusted=joint.p_adjusted,
        gained=alone.gained,
        lost=alone.lost,
        mde=alone.mde,
        margin=row.margin,
        method=alone.method,
        caution=alone.caution,
        outcome=outcome,
        n_labels=alone.n_labels,
        effective_labels=alone.effective_labels,
        undecided=alone.undecided,
        effective_n=alone.effective_n,
        plain_delta=plain_delta,
        plain_low=plain_low,
        plain_high=plain_high,
    )
