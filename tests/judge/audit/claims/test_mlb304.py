"""MLB304: accuracy of a one-sided test set says little."""

from __future__ import annotations

from dataclasses import replace

from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, subject, suite


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
