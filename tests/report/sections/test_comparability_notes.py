"""What may be set side by side: the report says which machine, or why not."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Assessment, Finding, Mismatch
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.comparability_notes import comparability_section, mismatch_section
from mlbaseline.report.view import Steps
from tests.report.sections.test_findings import texts
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def said(assessment: Assessment) -> str:
    section = comparability_section(Presenter(assessment))
    assert section is not None
    (steps,) = section.blocks
    assert isinstance(steps, Steps)
    return "\n".join(steps.items)


def test_one_machine_is_named() -> None:
    assert "all on one machine (AMD EPYC 7R13, 2 cores), so they are compared" in said(given.promote())


def test_another_machine_is_not_compared_with_and_the_reason_is_given() -> None:
    base = given.promote()
    elsewhere = {**given.MACHINE, "hardware.cpu": "another"}
    standings = [replace(s, measured_on=elsewhere) if s.baseline == "few_shot" else s for s in base.standings]
    text = said(replace(base, standings=tuple(standings)))
    assert "not across them" in text
    assert "; machine 2: few_shot (another, 2 cores)" in text
    assert "They differ in, or do not say, hardware.cpu. Money is compared across them" in text


def test_two_models_that_are_each_like_a_rule_may_differ_from_each_other() -> None:
    base = given.promote()
    engine = {**given.MACHINE, "engine.batch_tokens": "4096"}
    threads = {"zero_shot": {**engine, "hardware.threads": "1"}, "few_shot": {**engine, "hardware.threads": "2"}}
    standings = [replace(s, measured_on=threads.get(s.baseline, s.measured_on)) for s in base.standings]
    assert standings[0].baseline == "majority", "a rule is the first that the others are compared with"
    text = said(replace(base, standings=tuple(standings)))
    assert "; machine 2: few_shot (AMD EPYC 7R13, 2 cores, batches of 4096 tokens)" in text
    assert "They differ in, or do not say, hardware.threads." in text
    assert "few_shot: no figure is brought to the machine of zero_shot" in text


def test_trainings_that_were_done_otherwise_are_not_compared_by_their_seconds() -> None:
    base = given.promote()
    trained = [s.baseline for s in base.standings if s.cost.train_s is not None]
    assert len(trained) > 1, "else there is nothing to compare"
    alone = {"training.gradient_checkpointing": "False", "training.processes": "1"}
    together = {name: {**alone, "training.processes": "2"} if name == trained[1] else alone for name in trained}
    standings = [replace(s, measured_on={**s.measured_on, **together.get(s.baseline, {})}) for s in base.standings]
    text = said(replace(base, standings=tuple(standings)))
    assert f"Training: seconds and memory of {trained[1]} are not compared with those of {trained[0]}" in text
    assert "They differ in training.processes." in text
    assert "Training: seconds" not in said(base)


def test_several_tokenizers_are_legitimate_and_said() -> None:
    found = Finding("MLB202", "error", "pass", "same text", {"one_tokenizer": False})
    assert "Tokenizers: the models are not known to share one" in said(replace(given.promote(), audit=(found,)))
    assert "Tokenizers" not in said(given.promote())


def test_a_single_rung_has_nothing_to_be_compared_with() -> None:
    assert comparability_section(Presenter(odd.lone())) is None


def test_warnings_list_refusals_before_warnings() -> None:
    base = given.hold()
    refused = Mismatch("data.digest", "aa", None, "refuse")
    section = mismatch_section(Presenter(replace(base, mismatches=(*base.mismatches, refused))))
    assert texts(section, block=1) == [
        ["data.digest", "refuse", "aa", "—"],
        ["engine.precision", "warn", "fp32", "bf16"],
    ]
    assert mismatch_section(Presenter(given.promote())) is None
