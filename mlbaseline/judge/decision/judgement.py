"""The audit and the verdict on what was compared: the part of an assessment that decides."""

from __future__ import annotations

from collections.abc import Callable

from mlbaseline.judge.audit import AuditInput, audit
from mlbaseline.judge.contrasts.power import MoreExamples
from mlbaseline.judge.decision.conditions import (
    answered,
    blocking,
    confirmatory,
    counted,
    every_seed,
    measured_under_digest,
    stopped_as_registered,
)
from mlbaseline.judge.decision.gates import decide
from mlbaseline.records import Comparison, Finding, LookReport, Verdict


def judge(
    subject: AuditInput, more_examples: Callable[[Comparison], MoreExamples | None], looks: LookReport | None
) -> tuple[tuple[Finding, ...], Verdict]:
    """Audit what was compared, and judge the candidates by the rules of the suite.

    Args:
        subject: The rungs, where they stand, and the rows of their comparison.
        more_examples: How many further examples of the test would settle an inconclusive row; None where none would.
        looks: Where the answers to the test end (`report_looks`); None where no looks are registered.

    Returns:
        The findings of the audit, and the verdict.
    """
    suite, ladder, standings = subject.suite, subject.ladder, subject.standings
    audited = audit(subject)
    conditions = (
        *counted(ladder),
        *stopped_as_registered(looks),
        *answered(ladder),
        *every_seed(suite, standings),
        *confirmatory(suite, subject.registration),
        *measured_under_digest(suite, ladder),
        *blocking(suite, audited),
    )
    verdict = decide(
        suite,
        subject.comparisons,
        standings,
        ladder.checkpoints,
        more_examples,
        conditions=conditions,
        champions=subject.champions,
    )
    return audited, verdict
