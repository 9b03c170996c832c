"""MLB3xx on claims that say more than was measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlbaseline.records import Comparison
from tests.judge.audit.subjects import KINDS, finding, outcome, rung, standings, subject, suite
from tests.judge.builders import comparison


def test_slices() -> None:
    assert outcome("MLB301", subject()) == "pass"
    assert outcome("MLB301", subject(comparisons=[comparison()])) == "fail"
    assert outcome("MLB301", subject(of=suite("slices: {half: {column: text}}", "slices: {}"))) == "fail"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (comparison(margin=0.05), "pass"),
        (comparison(margin=0.0), "fail"),
        (comparison(margin=-0.01), "fail"),
        (comparison(margin=0.0, outcome="fail"), "not_applicable"),
        (comparison(margin=0.0, estimand="recipe"), "not_applicable"),
    ],
)
def test_practical_margin(row: Comparison, expected: str) -> None:
    found = finding("MLB302", subject(comparisons=[row]))
    assert (found.outcome, found.severity) == (expected, "info")


@pytest.mark.parametrize(("field", "value"), [("usd_per_query", None), ("latency_p95_s", math.nan)])
def test_cost_and_latency(field: str, value: float | None) -> None:
    found = standings()
    found["full"] = replace(found["full"], cost=replace(found["full"].cost, **{field: value}))
    assert outcome("MLB303", subject(standings=found)) == "fail"
    found["full"] = replace(found["full"], kind="human")  # an annotator has no price here
    assert outcome("MLB303", subject(standings=found)) == "pass"


def test_class_balance() -> None:
    assert outcome("MLB304", subject()) == "pass"
    one_sided = []
    for one in (one for name in KINDS for one in rung(name)):
        frame = one.table.frame.assign(target=["no"] * 55 + ["yes"] * 5)
        one_sided.append(replace(one, table=replace(one.table, frame=frame)))
    assert outcome("MLB304", subject(one_sided)) == "pass"  # macro_f1 stands beside it
    accuracy_alone = suite("metrics: [accuracy, macro_f1]", "metrics: [accuracy]")
    found = finding("MLB304", subject(one_sided, of=accuracy_alone))
    assert found.outcome == "fail"
    assert "92% of the targets are 'no'" in found.reason
    assert outcome("MLB304", subject(of=accuracy_alone)) == "pass"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"delta": 0.2, "margin": 0.0, "mde": 0.1}, "pass"),
        ({"delta": 0.05, "margin": 0.0, "mde": 0.1}, "fail"),
        ({"delta": 0.05, "margin": 0.12, "mde": 0.1}, "pass"),  # the margin itself is large enough to see
        ({"delta": 0.2, "margin": 0.15, "mde": 0.2}, "fail"),
        ({"delta": 0.2, "margin": -0.05, "mde": 0.2}, "pass"),
        ({"delta": -0.3, "margin": 0.0, "mde": 0.2, "metric": "nll_nats"}, "pass"),
        ({"delta": 0.2, "margin": 0.1, "mde": 0.25, "metric": "nll_nats"}, "pass"),  # 0.3 away from a gain of 0.1
        ({"delta": 0.2, "margin": 0.0, "mde": math.nan}, "fail"),
    ],
)
def test_power(changes: dict, expected: str) -> None:
    assert outcome("MLB305", subject(comparisons=[comparison(**changes)])) == expected
