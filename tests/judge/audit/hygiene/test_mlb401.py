"""MLB401: train, dev and test are different data."""

from __future__ import annotations

import pytest

from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, subject
from tests.support.comparisons.judged import SIGNATURE


@pytest.mark.parametrize(
    "changed",
    [
        {"training.train_digest": SIGNATURE["data.digest"]},
        {"training.dev_digest": SIGNATURE["data.digest"]},
        {"training.dev_digest": "train"},
    ],
)
def test_splits_that_are_the_same_data(changed: dict) -> None:
    given = [one for name in KINDS for one in rung(name, **(changed if name == "full" else {}))]
    found = finding("MLB401", subject(given))
    assert (found.outcome, found.severity) == ("fail", "error")
    assert "full (seed 0)" in found.reason and "lora" not in found.reason


def test_scores_of_another_split() -> None:
    dev = [one for name in KINDS for one in rung(name, **{"data.split": "dev"})]
    assert outcome("MLB401", subject(dev)) == "fail"


def test_training_without_a_dev_split_is_no_leak() -> None:
    without = [one for name in KINDS for one in rung(name, **({"training.dev_digest": None} if name == "full" else {}))]
    assert outcome("MLB401", subject(without)) == "pass"
