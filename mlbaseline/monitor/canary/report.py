"""What a look at the canary finds."""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline.monitor.canary.evidence import TimedPath
from mlbaseline.monitor.canary.mismatch import MismatchEvidence
from mlbaseline.monitor.canary.plan import GuardrailTest
from mlbaseline.monitor.canary.ramp import RampPosition
from mlbaseline.records import Outcome
from mlbaseline.records.decisions import StoredText


class CanaryDecision(StoredText):
    """What is to be done with the candidate."""

    CONTINUE = "continue"
    """Nothing is shown yet: keep to the ramp."""
    PROMOTE = "promote"
    """It is shown to be no worse than tolerated by every guardrail."""
    ROLL_BACK = "roll_back"
    """It is shown to do harm by one of them."""
    HOLD = "hold"
    """The horizon is reached and neither is shown."""
    INVALID = "invalid"
    """The traffic was not split as it claims to be: nothing can be concluded."""


class GuardrailOutcome(StoredText):
    """What one guardrail shows."""

    OPEN = "open"
    HARM = "harm"
    NON_INFERIOR = "non_inferior"


@dataclass(frozen=True)
class ArmMeasure:
    """What a guardrail looks at, in one arm, over all phases: a description, no inference.

    Attributes:
        n: Units, or labelled units.
        value: Share of failures, mean score, quantile of the latency in seconds, or mean cost in USD; NaN without any.
    """

    n: int
    value: float


@dataclass(frozen=True)
class GuardrailResult:
    """The evidence of one guardrail. harm: that it is worse than tolerated. non_inferior: that it is not."""

    test: GuardrailTest
    harm: TimedPath
    non_inferior: TimedPath | None
    champion: ArmMeasure
    candidate: ArmMeasure

    @property
    def outcome(self) -> GuardrailOutcome:
        """What it shows at this look or showed at an earlier one."""
        if self.harm.crossed_us is not None:
            return GuardrailOutcome.HARM
        if self.non_inferior is not None and self.non_inferior.crossed_us is not None:
            return GuardrailOutcome.NON_INFERIOR
        return GuardrailOutcome.OPEN


@dataclass(frozen=True)
class CanaryReport:
    """A look at the canary. Evidence is that of the moment of the decision, where there is one.

    Attributes:
        decision: What is to be done.
        decided_us: When the decision could first be taken, microseconds since 1970; None as long as nothing is decided.
        share: The share of the traffic that the candidate should have now.
        guardrails: On all traffic first, then on slices.
        mismatch: Evidence against the split.
        ramp: Where the ramp stands.
        units: Different units that were split.
        requests: Requests that were split.
        labels: Labelled ones of them.
        started_us: Time of the first of them, None without any.
        horizon_us: When an undecided canary is held, None before it started.
        looked_us: Time of the look.
        experiment: Name of the experiment.
        alpha: Error rate of each kind of wrong decision.
        crossing_units: Units that answered to both arms while the share stood: the split is not sticky.
    """

    decision: CanaryDecision
    decided_us: int | None
    share: float
    guardrails: tuple[GuardrailResult, ...]
    mismatch: MismatchEvidence
    ramp: RampPosition
    units: int
    requests: int
    labels: int
    started_us: int | None
    horizon_us: int | None
    looked_us: int
    experiment: str
    alpha: float
    crossing_units: int

    @property
    def mismatch_outcome(self) -> Outcome:
        """Whether the split passes its test."""
        paths = (self.mismatch.requests, self.mismatch.labels)
        return Outcome.FAIL if any(path.crossed_us is not None for path in paths) else Outcome.PASS
