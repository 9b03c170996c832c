"""What single examples show of two rungs, and which classes a rung confuses. All of it is exploratory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbaseline.records.decisions import StoredText


class Change(StoredText):
    """How a candidate does on one example, compared with a baseline.

    Scores that are equal count as `both_right` where they are the best that the metric allows, else as `both_wrong`.
    """

    WON = "won"
    LOST = "lost"
    BOTH_WRONG = "both_wrong"
    BOTH_RIGHT = "both_right"


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    """What one rung answered to one example.

    score, prediction, probabilities, error: of the checkpoint that stands for the rung. probabilities: label ─▶ share
    of the choices' probability, empty where the rung has no log-likelihoods. seed_scores: of every seed, in order.
    """

    prediction: str | None
    score: float
    seed_scores: tuple[float, ...]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ExampleChange:
    """One example with the answers of both sides.

    input: what the prompt shows of it; None where the data could not be read. difference: the candidate's score minus
    the baseline's, above 0 where the candidate is better.
    """

    example_id: str
    change: Change
    difference: float
    target: str
    input: str | None
    slices: Mapping[str, str]
    candidate: ExampleAnswer
    baseline: ExampleAnswer


@dataclass(frozen=True, slots=True)
class ExamplePair:
    """The examples that two rungs answer differently.

    metric: that says which answer is better. counts: of all examples that both sides have a score for.
    candidate_flips, baseline_flips: examples that some seeds of the rung get right and others do not.
    examples: the largest differences first; of a report only some of each change.
    """

    candidate: str
    baseline: str
    metric: str
    counts: Mapping[Change, int]
    candidate_flips: int
    baseline_flips: int
    examples: tuple[ExampleChange, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """The confusion matrix of a rung's checkpoint.

    counts[i][j]: examples of class `labels[i]` that the checkpoint answered with `labels[j]`; in the last column those
    that it answered with none of them.
    """

    baseline: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ExampleReport:
    """confusions: of every rung, for tasks with classes. pairs: of the primary contrasts."""

    confusions: tuple[Confusion, ...] = ()
    pairs: tuple[ExamplePair, ...] = ()
