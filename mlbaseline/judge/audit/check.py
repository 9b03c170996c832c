"""What an audit looks at, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlbaseline.documentation import audit_check_url
from mlbaseline.judge.ladder import CHECKPOINT, Ladder
from mlbaseline.judge.outcomes import FAIL, NOT_APPLICABLE, PASS
from mlbaseline.records import Comparison, Finding, Registration, Standing
from mlbaseline.results import ResultTable
from mlbaseline.suite import Suite

ERROR, WARNING, INFO = "error", "warning", "info"

Trials = Mapping[str, frozenset[tuple[float, int]]]
"""Baseline ─▶ (learning rate, epochs) of every setting of it that has a completed evaluation."""


@dataclass(frozen=True)
class Subject:
    """Everything that is known when a comparison is audited."""

    ladder: Ladder
    standings: Mapping[str, Standing]
    comparisons: Sequence[Comparison]
    registration: Registration
    trials: Trials

    @property
    def suite(self) -> Suite:
        return self.ladder.suite

    @property
    def tables(self) -> list[ResultTable]:
        return [evaluation.table for rung in self.ladder.rungs.values() for evaluation in rung]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Whoever may be promoted."""
        return tuple(dict.fromkeys(contrast.candidate for contrast in self.suite.matrix.primary))

    @property
    def deciding(self) -> list[Comparison]:
        """The primary rows that decide."""
        return [row for row in self.comparisons if row.role == "primary" and row.estimand == CHECKPOINT]

    def of_kind(self, *kinds: str) -> list[str]:
        """Rungs of these kinds that were evaluated."""
        return [name for name, standing in self.standings.items() if standing.kind in kinds]


@dataclass(frozen=True)
class Ruling:
    """What a check says. evidence: JSON values, so that it comes back from a file as it was."""

    outcome: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


def passed(reason: str, **evidence: Any) -> Ruling:
    return Ruling(PASS, reason, evidence)


def failed(reason: str, **evidence: Any) -> Ruling:
    return Ruling(FAIL, reason, evidence)


def does_not_apply(reason: str, **evidence: Any) -> Ruling:
    """The question does not arise. A fact that is missing is not that: it fails."""
    return Ruling(NOT_APPLICABLE, reason, evidence)


@dataclass(frozen=True)
class Check:
    """One question of the audit. code: stable, and the anchor of its section in the documentation.

    severity: where it fails.
    """

    code: str
    severity: str
    title: str
    ask: Callable[[Subject], Ruling]

    def __call__(self, subject: Subject) -> Finding:
        ruling = self.ask(subject)
        return Finding(
            self.code, self.severity, ruling.outcome, ruling.reason, ruling.evidence, title=self.title, docs=self.docs
        )

    @property
    def docs(self) -> str:
        return audit_check_url(self.code)
