"""MLB301: slices are compared, or an average hides somebody."""

from __future__ import annotations

from tests.support.comparisons.audit_subjects import outcome, subject, suite
from tests.support.comparisons.judged import comparison


def test_slices() -> None:
    assert outcome("MLB301", subject()) == "pass"
    assert outcome("MLB301", subject(comparisons=[comparison()])) == "fail"
    assert outcome("MLB301", subject(of=suite("slices: {half: {column: text}}", "slices: {}"))) == "fail"
