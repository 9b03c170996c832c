"""All that a comparison step finds, up to the verdict and the promotion that follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlbaseline.records.comparison import (
    Comparison,
    Estimate,
    Mismatch,
    MlflowContrast,
    PublishedScore,
    UnpairedContrast,
)
from mlbaseline.records.cost import BreakEven, Cost, FineTune, Front
from mlbaseline.records.decisions import Decision, GateCode, Outcome, Registered, Severity, seed_text
from mlbaseline.records.example_changes import ExampleReport
from mlbaseline.records.judging import JudgeReport
from mlbaseline.records.looks import LookReport
from mlbaseline.records.slices import SliceReport


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one rung of the ladder stands: its metrics over all seeds, its cost, and the runs that say so.

    metrics: absent where the rung cannot have one (no log-likelihoods, no nll). seed_std: standard deviation of the
    metric over seeds, absent with one seed; a description, never an interval.
    slices: slice ─▶ value ─▶ metric ─▶ mean over seeds. run_ids: seed (as text, "none" without one) ─▶ evaluation run.
    measured_on: machine and batches that latency and seconds stand on, as `judge.comparability` reads them.
    """

    baseline: str
    kind: str
    metrics: Mapping[str, Estimate]
    seed_std: Mapping[str, float]
    slices: Mapping[str, Mapping[str, Mapping[str, float]]]
    cost: Cost
    error_rate: float
    run_ids: Mapping[str, str]
    measured_on: Mapping[str, str] = field(default_factory=dict)
    fine_tune: FineTune | None = None


WAIVED = "waived"
"""Key of a finding's evidence: why the suite lets a failed audit check pass."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate or an audit check found.

    severity: how much a fail matters. title, docs: of an audit check, what it checks and where that is explained.
    """

    code: str
    severity: Severity
    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    docs: str = ""

    @property
    def is_of_contrast(self) -> bool:
        """Whether a gate found it in a registered contrast that was compared, whose row says the same."""
        return self.code in (GateCode.SUPERIORITY, GateCode.GUARDRAIL) and "metric" in self.evidence


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about a suite's candidates. winner, winner_seed: the checkpoint that would be promoted.

    more_examples: how many further test examples would settle an inconclusive verdict, or are missing from what the
    gates ask for; None where none would. more_seeds: how many further seeds the gates ask for, where nothing but their
    number, or that of the examples, is missing.
    """

    decision: Decision
    reason: str
    findings: tuple[Finding, ...]
    winner: str | None = None
    winner_seed: int | None = None
    more_examples: int | None = None
    more_seeds: int | None = None

    @property
    def waived(self) -> dict[str, str]:
        """Failed audit checks that the suite lets pass: code ─▶ the suite's reason."""
        return {finding.code: str(finding.evidence[WAIVED]) for finding in self.findings if WAIVED in finding.evidence}


@dataclass(frozen=True, slots=True)
class Registration:
    """Whether the rules of a decision stood before the first score of their task, and how often `test` was looked at.

    status: `before` where the first evaluation of the task already carried these rules when it started, so that their
    contrasts are confirmatory; else `after`. first_*: that evaluation, and the digest of the rules it carried; started
    in milliseconds since the epoch. test_looks: completed comparisons of the task, this one included.
    first_claims: where `after`, what the first evaluation's own rules claimed (`Matrix.claims`), if its run still shows
    them and the seeds are the same: a claim that stands in both is confirmatory all the same.
    earlier_looks: at smaller versions of the test, before it grew; they are counted in test_looks, too. rate: the error
    rate that this look is tested at, where it is not 1 − level. rate_so_far: bounds the error rate over all looks.
    noted_ms: when the tracking server, by its own clock, noted the first rules for the task; None where it did not.
    """

    status: Registered
    first_run_id: str
    first_started_ms: int
    first_matrix_digest: str
    test_looks: int
    first_claims: tuple[str, ...] = ()
    earlier_looks: int = 0
    rate: float | None = None
    rate_so_far: float | None = None
    noted_ms: int | None = None

    @property
    def is_confirmatory(self) -> bool:
        return self.status is Registered.BEFORE


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that a comparison step found: what the report shows and the gate reads.

    metrics: name ─▶ whether higher is better. context: digests, hardware, data sizes, software: what it stands on.
    audit: what the checklist found; the verdict's own findings hold those that the suite lets block.
    break_even: each fine-tune against each few-shot prompt. fronts: quality against each kind of cost.
    published, unpaired: scores without examples, and the candidates beside them; neither has a part in the verdict.
    by_mlflow: what MLflow's own comparison of imported runs came to; it has no part in the verdict either.
    slices: what was explored of slices beyond the comparisons; None where nothing was.
    champion_run_id: evaluation run of the model that was champion at the time; None where there was none.
    examples: classes confused, and examples won and lost; None where that was not looked at.
    judges: of the judged metrics, who scores them and how far that can be trusted.
    looks: where the answers end, and what each registered look came to; None where none is registered.
    weighted: how examples are weighted in the comparisons of means, in words; None where all count the same.
    registers: whether the suite names a registered model, which a winner becomes a version of.
    """

    suite: str
    level: float
    metrics: Mapping[str, bool]
    standings: tuple[Standing, ...]
    comparisons: tuple[Comparison, ...]
    mismatches: tuple[Mismatch, ...]
    verdict: Verdict
    registration: Registration
    audit: tuple[Finding, ...]
    break_even: tuple[BreakEven, ...]
    context: Mapping[str, Any]
    published: tuple[PublishedScore, ...] = ()
    unpaired: tuple[UnpairedContrast, ...] = ()
    slices: SliceReport | None = None
    fronts: tuple[Front, ...] = ()
    champion_run_id: str | None = None
    examples: ExampleReport | None = None
    judges: tuple[JudgeReport, ...] = ()
    looks: LookReport | None = None
    weighted: str | None = None
    registers: bool = True
    by_mlflow: tuple[MlflowContrast, ...] = ()

    @property
    def winner_run_id(self) -> str | None:
        """The evaluation run of the winner's checkpoint; None where nobody won."""
        runs = next((standing.run_ids for standing in self.standings if standing.baseline == self.verdict.winner), {})
        return runs.get(seed_text(self.verdict.winner_seed))


@dataclass(frozen=True, slots=True)
class Promotion:
    """The record of a moved alias."""

    model: str
    version: str
    previous_version: str | None
    comparison_run_id: str
    evaluation_run_id: str
    run_id: str
