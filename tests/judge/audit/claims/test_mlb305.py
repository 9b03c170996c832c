"""MLB305: what is claimed could have been seen."""

from __future__ import annotations

import math

import pytest

from tests.support.comparisons.audit_subjects import outcome, subject
from tests.support.comparisons.judged import comparison


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
