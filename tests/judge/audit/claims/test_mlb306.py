"""MLB306: a baseline that answers the same to everything, or nothing, is none."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, subject


def with_answers(name: str, answers: list[str | None]) -> object:
    def changed(evaluation):
        frame = evaluation.table.frame.assign(prediction=pd.array(answers, dtype="string"))
        return replace(evaluation, table=replace(evaluation.table, frame=frame))

    return subject([changed(one) if kind == name else one for kind in KINDS for one in rung(kind)])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["no"] * 60, "fail"),
        (["no"] * 59 + ["yes"], "pass"),
        ([""] * 50 + ["no", "yes"] * 5, "fail"),
        ([None] * 29 + ["no"] * 20 + ["yes"] * 11, "pass"),
        ([None] * 60, "pass"),  # it gives likelihoods and no answers
    ],
)
def test_answers_of_a_model(answers: list[str | None], expected: str) -> None:
    assert outcome("MLB306", with_answers("full", answers)) == expected


def test_a_trivial_rule_may_answer_the_same_to_everything() -> None:
    assert outcome("MLB306", with_answers("majority", ["no"] * 60)) == "pass"


def test_the_reason_names_the_baseline_and_its_answer() -> None:
    found = finding("MLB306", with_answers("full", ["no"] * 60))
    assert found.severity == "warning"
    assert "full answered 'no' to all 60 examples" in found.reason
