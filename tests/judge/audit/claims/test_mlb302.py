"""MLB302: a win exceeds a margin that is worth something."""

from __future__ import annotations

import pytest

from mlbaseline.records import Comparison
from tests.support.comparisons.audit_subjects import finding, subject
from tests.support.comparisons.judged import comparison


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
