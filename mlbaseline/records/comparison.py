"""What a comparison of two rungs says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbaseline.records.decisions import Estimand, MismatchEffect, Outcome, Registered, Role
from mlbaseline.records.scalars import UNKNOWN, Scalar


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why two tables may not, or not fully, be compared: a field of their signatures, and its two values."""

    field: str
    ours: Scalar
    theirs: Scalar
    severity: MismatchEffect

    @property
    def is_known(self) -> bool:
        """Whether both values are known, so that they truly differ."""
        return UNKNOWN not in (self.ours, self.theirs)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval at `level`; n counts examples, n_seeds the seeds averaged over.

    caution: why no interval of such data is reliable; empty where it is.
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    n_clusters: int
    n_seeds: int
    method: str
    caution: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One contrast, overall or on one slice: a row of `comparisons.parquet`.

    delta, low, high: candidate minus baseline in the metric's own unit, with the pointwise interval at `level`.
    simultaneous_low, simultaneous_high: interval that holds jointly over the contrast's family.
    margin: the improvement to exceed (negative: the loss that is tolerated), oriented so that more is better.
    mde: smallest true difference that this design detects with 80 % power at 1 − `level`.
    outcome: pass, fail or inconclusive; None for exploratory rows, which decide nothing.
    registered: `before` the first evaluation of the task makes the row confirmatory.
    caution: why no interval of such data is reliable; empty where it is.
    n_labels: of a judged metric, examples that people labelled. effective_labels: labels alone that would say as much.
    undecided: why the row decides nothing, whatever its numbers are.
    effective_n: where examples are weighted, as many of equal weight would be as precise; means, delta, interval and
    p-values are weighted then, and plain_delta, plain_low and plain_high are the difference without weights.
    """

    candidate: str
    baseline: str
    metric: str
    slice: str | None
    slice_value: str | None
    role: Role
    estimand: Estimand
    n: int
    n_clusters: int
    n_seeds_candidate: int
    n_seeds_baseline: int
    candidate_mean: float
    baseline_mean: float
    delta: float
    low: float
    high: float
    level: float
    simultaneous_low: float
    simultaneous_high: float
    effect_size: float | None
    p_value: float
    p_adjusted: float
    gained: int | None
    lost: int | None
    mde: float
    margin: float | None
    method: str
    outcome: Outcome | None
    registered: Registered = Registered.NO
    caution: str = ""
    n_labels: int | None = None
    effective_labels: float | None = None
    undecided: str | None = None
    effective_n: float | None = None
    plain_delta: float | None = None
    plain_low: float | None = None
    plain_high: float | None = None

    @property
    def deciding_interval(self) -> tuple[float, float]:
        """The interval that is held against the margin: the simultaneous one in the primary family."""
        if self.role == Role.PRIMARY:
            return self.simultaneous_low, self.simultaneous_high
        return self.low, self.high


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """A score that somebody published, without the answers behind it: there is nothing to pair, so it decides nothing.

    baseline: its name in the suite. n: examples behind it. protocol: how it was measured, in its source's words.
    run_id: the evaluation run that records it. measured_by: `prompt`, `shots` and `split`, those that are known.
    """

    baseline: str
    metric: str
    value: float
    n: int | None
    standard_error: float | None
    source: str
    date: str | None
    protocol: str | None
    run_id: str
    measured_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnpairedContrast:
    """A candidate's checkpoint minus a published score, in the metric's own unit. It decides nothing.

    published: the baseline's name. n: the candidate's examples. p_value: of no difference, two-sided.
    reason: what is assumed of the published score's own error. protocol_gaps: in what the two were measured
    differently, or are not known to have been measured alike.
    """

    candidate: str
    published: str
    metric: str
    n: int
    candidate_mean: float
    value: float
    delta: float
    low: float
    high: float
    level: float
    p_value: float
    reason: str
    protocol_gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MlflowContrast:
    """What `mlflow.genai.compare_evaluations` logged of two imported evaluations, by one scorer. It decides nothing.

    candidate, baseline: rungs that the two were imported as. metric: of the suite, which stands beside the scorer.
    is_same_score: whether the scorer's values were imported as the metric; else the suite scored the answers itself.
    n: pairs. delta, low, high: candidate minus baseline. p_value: two-sided. None: not logged.
    """

    candidate: str
    baseline: str
    scorer: str
    metric: str
    is_same_score: bool
    n: int | None
    delta: float | None
    low: float | None
    high: float | None
    p_value: float | None
