"""MLB404: solved examples in a prompt must not be those of the test."""

from __future__ import annotations

import pytest

from tests.support.audit_subjects import KINDS, finding, outcome, rung, subject, suite


def shots(prefix: str | None, count: int | str = 4) -> list:
    changed = {"prompt.shots": count, **({"prompt.prefix_sha256": prefix} if prefix else {})}
    return [one for name in KINDS for one in rung(name, **(changed if name == "zero_shot" else {}))]


def test_shots_from_train() -> None:
    assert outcome("MLB404", subject(shots("p" * 64))) == "pass"


@pytest.mark.parametrize(("prefix", "count"), [("unknown", 5), (None, 5), ("unknown", "unknown")])
def test_shots_that_nobody_here_has_drawn(prefix: str | None, count: int | str) -> None:
    found = finding("MLB404", subject(shots(prefix, count)))
    assert (found.outcome, found.evidence["runs"]) == ("fail", ["zero_shot"])


def test_recorded_answers_are_from_elsewhere_whatever_they_say() -> None:
    recorded = suite(
        "{kind: peft, method: lora, base: zero_shot, epochs: 2, learning_rate: 1.0e-3}",
        "{kind: peft, recorded: {path: x.csv}}",
    )
    changed = {"prompt.shots": 3, "prompt.prefix_sha256": "p" * 64}
    given = [one for name in KINDS for one in rung(name, **(changed if name == "lora" else {}))]
    assert outcome("MLB404", subject(given, of=recorded)) == "fail"


def test_no_shots() -> None:
    assert outcome("MLB404", subject()) == "not_applicable"


def test_an_import_whose_prompts_are_ours_has_our_solved_examples() -> None:
    imported = suite("{kind: pretrained, model: {source: m}}", "{kind: pretrained, recorded: imported}")
    assert outcome("MLB404", subject(shots("p" * 64), of=imported)) == "pass"
    found = finding("MLB404", subject(shots("unknown", "unknown"), of=imported))
    assert found.reason == "nothing says which solved examples the prompts of zero_shot had"
