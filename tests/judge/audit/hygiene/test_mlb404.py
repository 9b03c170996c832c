"""MLB404: solved examples in a prompt must not be those of the test."""

from __future__ import annotations

import pytest

from mlbaseline.judge.audit import AuditInput
from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, subject, suite


def shots(prefix: str | None, count: int | str = 4) -> list:
    changed = {"prompt.shots": count, **({"prompt.prefix_sha256": prefix} if prefix else {})}
    return [one for name in KINDS for one in rung(name, **(changed if name == "zero_shot" else {}))]


def test_shots_from_train() -> None:
    assert outcome("MLB404", subject(shots("p" * 64))) == "pass"


@pytest.mark.parametrize(("prefix", "count"), [("unknown", 5), (None, 5), ("unknown", "unknown")])
def test_shots_that_nobody_here_has_drawn(prefix: str | None, count: int | str) -> None:
    found = finding("MLB404", subject(shots(prefix, count)))
    assert (found.outcome, found.evidence["runs"]) == ("fail", ["zero_shot"])


def recorded(how: str, shots: int | str, prefix: str) -> AuditInput:
    of = suite(
        "{kind: peft, method: lora, base: zero_shot, epochs: 2, learning_rate: 1.0e-3}",
        f"{{kind: peft, recorded: {how}}}",
    )
    changed = {"prompt.shots": shots, "prompt.prefix_sha256": prefix}
    return subject([one for name in KINDS for one in rung(name, **(changed if name == "lora" else {}))], of=of)


def test_answers_in_a_file_are_from_elsewhere_whatever_they_say() -> None:
    assert outcome("MLB404", recorded("{path: x.csv}", 3, "p" * 64)) == "fail"


def test_an_import_whose_prompts_are_ours_has_our_solved_examples() -> None:
    assert outcome("MLB404", recorded("imported", 3, "p" * 64)) == "pass"
    found = finding("MLB404", recorded("imported", "unknown", "unknown"))
    assert found.reason == "nothing says which solved examples the prompts of lora had"


def test_no_shots() -> None:
    assert outcome("MLB404", subject()) == "not_applicable"
