"""Whether an assessment that was stored is the one that its tables give."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlbaseline.records import Assessment, Comparison, Role

_TOLERANCE = 1e-6
"""Relative, and absolute in the metric's unit: another processor adds in another order."""


def assessment_differences(stored: Assessment, derived: Assessment) -> tuple[str, ...]:
    """Name where the verdict or a registered contrast of a stored assessment differs from one that was derived again.

    Means, differences, numbers of examples, outcomes and where the answers end are compared. Intervals and p-values are
    not: a later version may compute them by a better method, and the outcome says what follows from them.
    """
    return (*_verdicts(stored, derived), *_stops(stored, derived), *_contrasts(stored, derived))


def _verdicts(stored: Assessment, derived: Assessment) -> Iterator[str]:
    ours, theirs = stored.verdict, derived.verdict
    if ours.decision is not theirs.decision:
        yield f"verdict: stored {ours.decision}, derived {theirs.decision} ({theirs.reason})"
    elif (ours.winner, ours.winner_seed) != (theirs.winner, theirs.winner_seed):
        yield (
            f"winner: stored {ours.winner}, seed {ours.winner_seed}; derived {theirs.winner}, seed {theirs.winner_seed}"
        )


def _stops(stored: Assessment, derived: Assessment) -> Iterator[str]:
    ours, theirs = (None if each.looks is None else each.looks.summary for each in (stored, derived))
    if ours != theirs:
        yield f"where the answers end: stored {ours}; derived {theirs}"


def _contrasts(stored: Assessment, derived: Assessment) -> Iterator[str]:
    ours, theirs = _registered(stored), _registered(derived)
    for key in dict.fromkeys((*ours, *theirs)):
        what = " ".join(map(str, (part for part in key if part is not None)))
        if key not in ours or key not in theirs:
            yield f"{what}: only {'derived' if key in theirs else 'stored'}"
            continue
        for field in ("n", "candidate_mean", "baseline_mean", "delta", "margin", "outcome"):
            left, right = getattr(ours[key], field), getattr(theirs[key], field)
            if not _same(left, right):
                yield f"{what}: {field} stored {left}, derived {right}"


def _registered(assessment: Assessment) -> dict[tuple[str | None, ...], Comparison]:
    return {
        (row.role.value, row.candidate, row.baseline, row.metric, row.slice, row.slice_value, row.estimand.value): row
        for row in assessment.comparisons
        if row.role is not Role.EXPLORATORY
    }


def _same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        both_nan = math.isnan(left) and math.isnan(right)
        return both_nan or math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return left == right
