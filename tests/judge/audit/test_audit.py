"""The list of checks, and what a comparison without fault is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline.documentation import documentation_url, explanations
from mlbaseline.judge.audit import CHECKS, Check, audit
from tests.support.comparisons.audit_subjects import subject


def test_a_comparison_without_fault_passes_everything_that_applies() -> None:
    found = audit(subject())
    assert {finding.code for finding in found if finding.outcome == "not_applicable"} == {
        "MLB103",
        "MLB106",
        "MLB205",  # no reference workload stands in these tables, and nothing says how many tokens were read
        "MLB206",
        "MLB404",
    }
    assert {finding.outcome for finding in found} == {"pass", "not_applicable"}
    assert all(finding.title and finding.reason for finding in found)


def test_codes_are_stable_and_ascending() -> None:
    codes = [check.code for check in CHECKS]
    assert codes == sorted(set(codes))
    assert {"MLB101", "MLB203", "MLB305", "MLB403"} <= set(codes)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_check_is_explained(check: Check) -> None:
    assert len(explanations()[check.code].text) > 40
    assert check.docs == documentation_url("reference/audit", check.code.lower())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_check_has_a_test_file_of_its_own(check: Check) -> None:
    (file,) = Path(__file__).parent.glob(f"*/test_{check.code.lower()}.py")
    text = file.read_text(encoding="utf-8")
    assert check.code in text
    assert '"pass"' in text
    assert '"fail"' in text or check.code == "MLB103"  # which is only ever declared absent
