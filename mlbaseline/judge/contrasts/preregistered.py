"""Which rows of a comparison confirm something: those whose question stood before anybody could know a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlbaseline.judge.contrasts.matrix import EXPLORATORY, PRIMARY
from mlbaseline.records import Comparison, Registration
from mlbaseline.suite import Suite

BEFORE, AFTER, NO = "before", "after", "no"


def mark_registered(
    suite: Suite, registration: Registration, comparisons: Sequence[Comparison]
) -> tuple[Comparison, ...]:
    """The rows, each saying when its question was registered.

    Where the rules have changed since the first evaluation, a row whose claim stands word for word in both is still
    from before. Primary rows are corrected as one family: once a claim has left it, the rest are corrected for less
    than was registered, and none of them is from before.
    """
    kept = set(registration.first_claims)
    lost = {claim for claim in kept if claim.startswith(PRIMARY)} - set(suite.matrix.claims())

    def status(row: Comparison) -> str:
        if row.role == EXPLORATORY:
            return NO
        if registration.is_confirmatory:
            return BEFORE
        claim = suite.matrix.claim(
            row.role, row.candidate, row.baseline, metric=row.metric, margin=row.margin, slicing=row.slice
        )
        return BEFORE if claim in kept and not (row.role == PRIMARY and lost) else AFTER

    return tuple(replace(row, registered=status(row)) for row in comparisons)
