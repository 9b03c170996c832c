"""MLB303: cost and latency stand beside quality."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.support.comparisons.audit_subjects import outcome, standings, subject


@pytest.mark.parametrize(("field", "value"), [("usd_per_query", None), ("latency_p95_s", math.nan)])
def test_cost_and_latency(field: str, value: float | None) -> None:
    found = standings()
    found["full"] = replace(found["full"], cost=replace(found["full"].cost, **{field: value}))
    assert outcome("MLB303", subject(standings=found)) == "fail"
    found["full"] = replace(found["full"], kind="human")  # an annotator has no price here
    assert outcome("MLB303", subject(standings=found)) == "pass"
