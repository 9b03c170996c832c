"""MLB4xx on tests that are none any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.judge.audit.subjects import KINDS, finding, outcome, rung, standings, subject
from tests.judge.builders import REGISTRATION, SIGNATURE


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


@pytest.mark.parametrize(("looks", "expected"), [(1, "pass"), (10, "pass"), (11, "fail")])
def test_looks(looks: int, expected: str) -> None:
    assert outcome("MLB402", subject(registration=replace(REGISTRATION, test_looks=looks))) == expected


@pytest.mark.parametrize("rate", [0.01, float("nan")])
def test_error_rows(rate: float) -> None:
    assert outcome("MLB403", subject()) == "pass"
    found = {**standings(), "zero_shot": replace(standings()["zero_shot"], error_rate=rate)}
    assert outcome("MLB403", subject(standings=found)) == "fail"
