"""What an audit looks at, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlbaseline.documentation import finding_url
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import Comparison, Estimand, Finding, Outcome, Registration, Role, Severity, Standing
from mlbaseline.results import ResultTable
from mlbaseline.suite import Suite

Trials = Mapping[str, frozenset[tuple[float, int]]]
"""Baseline ─▶ (learning rate, epochs) of every setting of it that has a completed evaluation."""


@dataclass(frozen=True)
class Champion:
    """The champion of the registered model, as the registry has it when a comparison is made.

    version: `NAME/NUMBER`, as the signature of an evaluation of it has it (`model.version`). evaluation_run_id: of its
    own weights, None where no tag says.
    """

    version: str
    evaluation_run_id: str | None


@dataclass(frozen=True)
class AuditInput:
    """Everything that is known when a comparison is audited. champion: None where no model is registered yet."""

    ladder: Ladder
    standings: Mapping[str, Standing]
    comparisons: Sequence[Comparison]
    registration: Registration
    trials: Trials
    champion: Champion | None = None

    @property
    def suite(self) -> Suite:
        return self.ladder.suite

    @property
    def tables(self) -> list[ResultTable]:
        return [evaluation.table for rung in self.ladder.rungs.values() for evaluation in rung]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Candidates of the primary contrasts that were evaluated."""
        primary = self.suite.matrix.primary
        return tuple(dict.fromkeys(c.candidate for c in primary if c.candidate in self.standings))

    @property
    def deciding(self) -> list[Comparison]:
        """The primary rows that decide."""
        return [row for row in self.comparisons if row.role is Role.PRIMARY and row.estimand is Estimand.CHECKPOINT]

    @property
    def champions(self) -> frozenset[str]:
        """Rungs whose checkpoint is the champion of the registered model itself."""
        run_id = None if self.champion is None else self.champion.evaluation_run_id
        checkpoints = self.ladder.checkpoints.items()
        return frozenset(name for name, checkpoint in checkpoints if checkpoint.evaluation.run_id == run_id)

    def of_kind(self, *kinds: str) -> list[str]:
        """List the rungs of these kinds that were evaluated."""
        return [name for name, standing in self.standings.items() if standing.kind in kinds]


@dataclass(frozen=True)
class CheckResult:
    """What a check says. evidence: JSON values, so that it comes back from a file as it was."""

    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


def passed(reason: str, **evidence: Any) -> CheckResult:
    return CheckResult(Outcome.PASS, reason, evidence)


def failed(reason: str, **evidence: Any) -> CheckResult:
    return CheckResult(Outcome.FAIL, reason, evidence)


def does_not_apply(reason: str, **evidence: Any) -> CheckResult:
    """Rule that the question does not arise. A fact that is missing is another matter: it fails."""
    return CheckResult(Outcome.NOT_APPLICABLE, reason, evidence)


@dataclass(frozen=True)
class Check:
    """One question of the audit. code: stable, and the anchor of its section in the documentation.

    severity: where it fails.
    """

    code: str
    severity: Severity
    title: str
    ask: Callable[[AuditInput], CheckResult]

    def __call__(self, subject: AuditInput) -> Finding:
        return self.finding(self.ask(subject))

    def finding(self, ruling: CheckResult) -> Finding:
        """Return what this check says as a finding."""
        return Finding(
            self.code, self.severity, ruling.outcome, ruling.reason, ruling.evidence, title=self.title, docs=self.docs
        )

    @property
    def docs(self) -> str:
        return finding_url(self.code)
