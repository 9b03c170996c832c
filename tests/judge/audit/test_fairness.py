"""MLB2xx on ladders that favour somebody."""

from __future__ import annotations

from dataclasses import replace

from tests.judge.audit.subjects import KINDS, finding, outcome, rung, standings, subject, suite


def test_seeds() -> None:
    assert outcome("MLB201", subject()) == "pass"
    two = {**standings(), "lora": replace(standings()["lora"], run_ids={"0": "a", "1": "b"})}
    assert "lora 2" in finding("MLB201", subject(standings=two)).reason
    assert outcome("MLB201", subject(standings=two)) == "fail"
    fixed = {**standings(), "lora": replace(standings()["lora"], run_ids={"none": "a"})}
    assert outcome("MLB201", subject(standings=fixed)) == "not_applicable"


def test_a_length_limit_of_its_own_is_another_reading() -> None:
    given = [one for name in KINDS for one in rung(name, **({"engine.max_length": 8} if name == "full" else {}))]
    found = finding("MLB202", subject(given))
    assert (found.outcome, found.evidence["fields"]) == ("fail", ["engine.max_length"])


def test_context_that_only_some_rungs_lost() -> None:
    given = [one for name in KINDS for one in rung(name)]
    last = given[-1]
    cut = last.table.frame.assign(truncated=[True] * 7 + [False] * 53)
    given[-1] = replace(last, table=replace(last.table, frame=cut))
    found = finding("MLB202", subject(given))
    assert (found.outcome, found.evidence["truncated"]) == ("fail", {"full (seed 2)": 7})


def test_another_base_model_reads_the_same_text() -> None:
    given = [one for name in KINDS for one in rung(name, **({"training.base_sha256": "x"} if name == "full" else {}))]
    found = finding("MLB202", subject(given))
    assert (found.outcome, found.evidence["base_models"]) == ("pass", 2)
    assert "one tokenizer" in finding("MLB202", subject()).reason


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
