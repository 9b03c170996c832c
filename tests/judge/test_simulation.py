"""The verdict alone is the one that a whole assessment takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mlbaseline.judge.assessment import assess
from mlbaseline.judge.simulation import deciding_verdict
from tests.judge.calibration_verdict import registered, simulated_ladder, suite_of, truths


@pytest.mark.parametrize(("correction", "candidates"), [("holm", 1), ("holm", 4), ("romano_wolf", 2)])
def test_the_verdict_alone_is_that_of_the_assessment(correction: str, candidates: int) -> None:
    """The decision, the winner, and the outcome of everything that was asked."""

    def answers(findings: Sequence[object]) -> list[tuple[object, ...]]:
        return [(getattr(finding, "code", None), getattr(finding, "outcome", None)) for finding in findings]

    for truth in truths()[:2]:
        suite = suite_of(replace(truth, correction=correction, candidates=candidates))
        ladder = simulated_ladder(replace(truth, correction=correction, candidates=candidates), suite, seed=11)
        whole = assess(ladder, registered(suite), {}, {}).verdict
        alone = deciding_verdict(ladder, registered(suite), {})
        assert (alone.decision, alone.winner) == (whole.decision, whole.winner)
        assert answers(alone.findings) == answers(whole.findings)
