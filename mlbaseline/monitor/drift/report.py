"""What a look at the drift finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mlbaseline.monitor.cohorts import WatchedSlice
from mlbaseline.monitor.drift.inputs import InputShift
from mlbaseline.monitor.drift.vocabulary import VocabularyShift
from mlbaseline.monitor.event_arrays import Floats
from mlbaseline.records.decisions import StoredText


class DriftOutcome(StoredText):
    """What one slice shows."""

    STABLE = "stable"
    ALARM = "alarm"
    NO_LABELS = "no_labels"


@dataclass(frozen=True, eq=False)
class SliceDrift:
    """One slice value since the detector started.

    Attributes:
        watched: The slice value, or all events.
        log_e: Natural logarithm of the e-detector after each closed day, shape (days,).
        threshold: The log e at which it raises an alarm now, given the slices above it.
        alarmed: The first day after which it raised an alarm, None for never.
        n: Labelled events.
        loss: Their mean loss, NaN without any.
        recent_loss: Mean loss of the newest seven closed days, NaN without any.
        reference_loss: Recorded mean loss of the reference.
        bound: Largest acceptable mean loss: the reference's upper confidence limit plus the tolerated rise.
    """

    watched: WatchedSlice
    log_e: Floats
    threshold: float
    alarmed: date | None
    n: int
    loss: float
    recent_loss: float
    reference_loss: float
    bound: float

    @property
    def label(self) -> str:
        """Its name, such as `topic/airline`."""
        return "all" if self.watched.slice is None else f"{self.watched.slice}/{self.watched.value}"

    @property
    def last(self) -> float:
        """The log e-detector after the newest closed day, −∞ before any."""
        return float(self.log_e[-1]) if len(self.log_e) else float("-inf")

    @property
    def outcome(self) -> DriftOutcome:
        """What it shows now or showed on an earlier day."""
        if self.alarmed is not None:
            return DriftOutcome.ALARM
        return DriftOutcome.STABLE if self.n else DriftOutcome.NO_LABELS


@dataclass(frozen=True)
class RunningCost:
    """Latency and cost of the newest days beside the recorded ones; NaN where unknown. They raise no alarm.

    Attributes:
        latency_p95_s: 95th percentile of the latency.
        reference_latency_p95_s: The recorded one.
        latency_log_e: Evidence since the start that more than 5 % take longer than the recorded percentile.
        cost_usd: Mean cost of a query.
        reference_cost_usd: The recorded one.
    """

    latency_p95_s: float
    reference_latency_p95_s: float
    latency_log_e: float
    cost_usd: float
    reference_cost_usd: float


@dataclass(frozen=True)
class DriftReport:
    """A look at the drift.

    Attributes:
        slices: All events first, then the strongest evidence first.
        days: The closed days, rising; the detector saw all of them.
        arl_days: Average number of days to a false alarm.
        reference: Name of the reference.
        metric: The score that is watched.
        inputs: What changed about the questions.
        cost: What changed about latency and cost.
        late: Labels that came after their day was closed.
        requests: Requests of the champion on the closed days.
        looked_us: Time of the look, microseconds since 1970.
        vocabulary: What changed about the words; None where no text of live items is known.
    """

    slices: tuple[SliceDrift, ...]
    days: tuple[date, ...]
    arl_days: float
    reference: str
    metric: str
    inputs: InputShift
    cost: RunningCost
    late: int
    requests: int
    looked_us: int
    vocabulary: VocabularyShift | None = None

    @property
    def alarms(self) -> tuple[SliceDrift, ...]:
        """The slices that raised an alarm, the first one first."""
        raised = [each for each in self.slices if each.alarmed is not None]
        return tuple(sorted(raised, key=lambda each: (each.alarmed, each.label)))
