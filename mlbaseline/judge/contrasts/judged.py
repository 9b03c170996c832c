"""A contrast by a judged metric: people's labels decide, and the judge's scores make them go further.

Without labels, or where some of the drawn examples lack one, nothing is decided: a judge may be wrong in a way that
favours one side, and its own scores cannot show it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.contrasts.inference import ContrastEstimate, clusters_of, detectable_from
from mlbaseline.judge.contrasts.pair import ModelPair
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics.labels import Answers, answers_of, draw_order, label_scores
from mlbaseline.results import ResultTable
from mlbaseline.stats import compare_judged

Array = npt.NDArray[np.float64]
JUDGE_ALONE, PREDICTION_POWERED = "judge_alone", "ppi++"
"""Methods of a row: without people's labels, and with them."""


@dataclass(frozen=True)
class LabelledSides:
    """What people said of both sides of a contrast.

    Attributes:
        candidate: Scores (n,) from 0 to 1, NaN outside the drawn examples.
        baseline: Those of the other side.
        missing: Drawn examples that lack the label of a side.
        drawn: Number of drawn examples.
    """

    candidate: Array
    baseline: Array
    missing: int
    drawn: int


def contrast_judged(ladder: Ladder, pair: ModelPair, *, level: float, margin: float) -> ContrastEstimate | None:
    """Compare two rungs by a judged metric.

    Args:
        ladder: With the labels of people.
        pair: What is compared.
        level: Of the interval.
        margin: Difference under the null hypothesis.

    Returns:
        None where a side lacks the judge's scores. Without enough labels, what the judge says, with `undecided` set
        and an interval that excludes nothing.
    """
    mask = pair.mask
    judged = [_mean_scores(side, pair.metric) for side in (pair.candidate, pair.baseline)]
    ours, theirs = (None if scores is None else scores[mask] for scores in judged)
    if ours is None or theirs is None or len(ours) < 2:
        return None
    people, undecided, n_labels = _people(ladder, pair)
    if people is None:
        return _alone(ours, theirs, undecided, n_labels)
    clusters, (labelled, other) = clusters_of(pair.candidate[0], mask), (side[mask] for side in people)
    try:
        found = compare_judged(ours, theirs, labelled, other, clusters=clusters, level=level, margin=margin)
    except ValueError as error:  # too few labels, or too few clusters with one
        return _alone(ours, theirs, str(error), int((~np.isnan(labelled)).sum()))
    n_units = len(ours) if clusters is None else len(set(clusters))
    return ContrastEstimate(
        candidate_mean=_corrected_mean(ours, labelled, found.weight),
        baseline_mean=_corrected_mean(theirs, other, found.weight),
        delta=found.delta,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        mde=detectable_from(found.standard_error, found.n, n_units, level=level),
        n=found.n,
        n_clusters=n_units,
        method=PREDICTION_POWERED,
        n_labels=found.n_labels,
        effective_labels=found.effective_labels,
    )


def _people(ladder: Ladder, pair: ModelPair) -> tuple[tuple[Array, Array] | None, str, int]:
    """People's scores of both sides; or None, why they decide nothing, and on how many examples there are some."""
    if max(len(pair.candidate), len(pair.baseline)) > 1:
        return None, "people label the answers of one checkpoint a rung, not those of every seed", 0
    sides = labelled_sides(ladder, pair.metric, pair.candidate[0], pair.baseline[0])
    if sides is None:
        return None, "no human labels", 0
    if sides.missing:
        reason = f"{sides.missing:,} of the {sides.drawn:,} drawn examples lack a human label"
        return None, reason, sides.drawn - sides.missing
    return (sides.candidate, sides.baseline), "", sides.drawn


def labelled_sides(ladder: Ladder, metric: str, candidate: ResultTable, baseline: ResultTable) -> LabelledSides | None:
    """Return what people said of the drawn examples; None where the suite has no labels of the metric.

    A label outside the drawn examples does not count: somebody chose it.
    """
    labels = ladder.labels.get(metric)
    if labels is None:
        return None
    ids = [str(id) for id in candidate.frame["example_id"]]
    data_digest = str(candidate.signature.fields.get("data.digest"))
    drawn = set(draw_order(ids, data_digest=data_digest, metric=metric)[: labels.drawn])
    is_drawn = np.array([id in drawn for id in ids])
    against = reference_answers(ladder, metric)
    ours, theirs = (label_scores(table, metric, labels, against) for table in (candidate, baseline))
    is_missing = is_drawn & (np.isnan(ours) | np.isnan(theirs))
    outside = ~is_drawn | is_missing
    return LabelledSides(
        np.where(outside, math.nan, ours), np.where(outside, math.nan, theirs), int(is_missing.sum()), len(drawn)
    )


def reference_answers(ladder: Ladder, metric: str) -> Answers | None:
    """Return the answers that a metric compares with; None where it judges each answer alone."""
    against = ladder.suite.judged[metric].against
    if against is None:
        return None
    return answers_of(ladder.rungs[against][0].table) if against in ladder.rungs else {}


def _mean_scores(tables: Sequence[ResultTable], metric: str) -> Array | None:
    scores = [column for table in tables if (column := table.scores(metric)) is not None]
    return np.mean(scores, axis=0) if len(scores) == len(tables) else None


def _alone(ours: Array, theirs: Array, why: str, n_labels: int = 0) -> ContrastEstimate:
    """Give what the judge says, which decides nothing."""
    return ContrastEstimate(
        candidate_mean=float(ours.mean()),
        baseline_mean=float(theirs.mean()),
        delta=float((ours - theirs).mean()),
        low=-math.inf,
        high=math.inf,
        p_value=1.0,
        mde=math.inf,
        n=len(ours),
        n_clusters=len(ours),
        method=JUDGE_ALONE,
        n_labels=n_labels,
        undecided=why,
    )


def _corrected_mean(judged: Array, people: Array, weight: float) -> float:
    """Correct the mean of one side as the difference is corrected: the two means differ by exactly that."""
    known = ~np.isnan(people)
    rest = judged[~known].mean() if (~known).any() else 0.0
    return float((people[known] - weight * judged[known]).mean() + weight * rest)
