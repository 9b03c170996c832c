"""MLB203: as many tries for the baseline as for the candidate."""

from __future__ import annotations

from tests.support.comparisons.audit_subjects import finding, outcome, subject, suite


def test_what_was_tried_on_the_way_counts_as_tuning() -> None:
    assert outcome("MLB203", subject()) == "pass"  # two epochs each
    tried = {"lora": frozenset({(1e-3, 2), (2e-3, 2), (5e-3, 1)})}
    found = finding("MLB203", subject(trials=tried))
    assert (found.outcome, found.evidence["epochs"]) == ("fail", {"lora": 5, "full": 2})
    both = {**tried, "full": frozenset({(1e-5, 3)})}
    assert outcome("MLB203", subject(trials=both)) == "pass"


def test_a_baseline_that_is_not_trained_has_nothing_to_tune() -> None:
    untrained = suite("over: [majority, full]", "over: [majority]")
    assert outcome("MLB203", subject(of=untrained)) == "not_applicable"
