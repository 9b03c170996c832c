"""MLB402: how often test was looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.comparisons.audit_subjects import outcome, subject
from tests.support.comparisons.judged import REGISTRATION


@pytest.mark.parametrize(("looks", "expected"), [(1, "pass"), (10, "pass"), (11, "fail")])
def test_looks(looks: int, expected: str) -> None:
    assert outcome("MLB402", subject(registration=replace(REGISTRATION, test_looks=looks))) == expected
