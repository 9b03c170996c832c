"""MLB403: examples that failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.comparisons.audit_subjects import outcome, standings, subject


@pytest.mark.parametrize("rate", [0.01, float("nan")])
def test_error_rows(rate: float) -> None:
    assert outcome("MLB403", subject()) == "pass"
    found = {**standings(), "zero_shot": replace(standings()["zero_shot"], error_rate=rate)}
    assert outcome("MLB403", subject(standings=found)) == "fail"
