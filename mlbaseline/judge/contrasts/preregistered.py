"""Which rows of a comparison confirm something: those whose question stood before anybody could know a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlbaseline.records import Comparison, Registered, Registration, Role
from mlbaseline.suite import Suite


def mark_registered(
    suite: Suite, registration: Registration, comparisons: Sequence[Comparison]
) -> tuple[Comparison, ...]:
    """Mark each row with when its question was registered.

    Where the rules have changed since the first evaluation, a row whose claim stands word for word in both is still
    from before. Primary rows are corrected as one family: once a claim has left it, the rest are corrected for less
    than was registered, and none of them is from before.
    """
    kept = set(registration.first_claims)
    lost = {claim for claim in kept if claim.startswith(Role.PRIMARY.value)} - set(suite.matrix.claims())

    def status(row: Comparison) -> Registered:
        if row.role == Role.EXPLORATORY:
            return Registered.NO
        if registration.is_confirmatory:
            return Registered.BEFORE
        claim = suite.matrix.claim(
            row.role, row.candidate, row.baseline, metric=row.metric, margin=row.margin, slicing=row.slice
        )
        return Registered.BEFORE if claim in kept and not (row.role == Role.PRIMARY and lost) else Registered.AFTER

    return tuple(replace(row, registered=status(row)) for row in comparisons)
