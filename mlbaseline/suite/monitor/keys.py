"""The whole of `monitor:`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from mlbaseline.suite.monitor.canary import CanaryRules
from mlbaseline.suite.monitor.durations import Duration, PositiveDuration
from mlbaseline.suite.node import MetricName, Name, Node

LIVE_METRICS: tuple[MetricName, ...] = (
    "accuracy",
    "exact_match",
    "token_f1",
    "contains",
    "rouge_l",
    "json_valid",
    "pass_at_k",
)
"""Metrics with a score in [0, 1] for each example, more being better."""


class TrafficSource(Node):
    """Where the events of live traffic come from."""

    source: Literal["mlflow", "files"]
    """`mlflow`: traces with assessments. `files`: Parquet, JSON Lines or CSV."""
    experiment: Annotated[str, Field(min_length=1)] | None = None
    """Source `mlflow`: name of the experiment that holds the traces."""
    paths: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Source `files`: paths or patterns such as `events/*.parquet`, relative to the suite file."""
    assessments: dict[Name, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    """Source `mlflow`: score ─▶ name of the assessment that holds it, where that is another one."""

    @model_validator(mode="after")
    def _names_its_source(self) -> TrafficSource:
        expected, other = ("experiment", "paths") if self.source == "mlflow" else ("paths", "experiment")
        if not getattr(self, expected):
            raise ValueError(f"source `{self.source}` needs `{expected}`")
        if getattr(self, other) or (self.source == "files" and self.assessments):
            raise ValueError(f"source `{self.source}` takes `{expected}` and not `{other}` or `assessments`")
        return self


class HoldoutRules(Node):
    """The labelled items of live traffic on which snapshots compare the champion with the reference."""

    size: PositiveInt = 2000
    """Largest number of items that change with the traffic."""
    anchor: Annotated[int, Field(ge=0)] = 300
    """Number of items that never change. A change on them means that the server, the tokenizer or the judge changed."""
    refresh: Literal["daily", "weekly", "monthly"] = "weekly"
    """How often new items take the place of old ones."""


class DriftRules(Node):
    """When a rise of the loss is an alarm."""

    delta: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Rise of the mean loss over the reference's upper confidence limit that is tolerated."""
    arl_days: Annotated[float, Field(ge=1)] = 365
    """Average number of days to a false alarm, over all slices together."""
    label_delay: Duration = timedelta(days=3)
    """95th percentile of the time from a request to its label. A day's events count once this time has passed; later
    labels go to snapshots only.
    """
    judged_by: Name | None = None
    """Name of another score that every event has, such as a judge's, which predicts `monitor.metric` where only some
    events are labelled.
    """
    label_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Probability with which an event is chosen to be labelled. Below 1 it needs `judged_by`."""

    @model_validator(mode="after")
    def _is_predicted(self) -> DriftRules:
        if self.label_share < 1 and self.judged_by is None:
            raise ValueError("label_share: below 1 it needs `judged_by`, the score that predicts the label")
        return self


class RetrainRules(Node):
    """What an alarm starts."""

    entry_point: Literal["main", "peft", "full"] = "main"
    """Entry point of MLproject that trains. What it trains goes through the same gates."""
    cooldown: PositiveDuration = timedelta(days=7)
    """Shortest time between two retrainings."""
    max_per_month: PositiveInt = 2
    """Largest number of retrainings in 30 days."""


class Monitor(Node):
    """What goes on after a promotion: events, snapshots, drift, canary, retraining."""

    traffic: TrafficSource
    """Where events come from."""
    metric: MetricName = "accuracy"
    """Score of a labelled event, in [0, 1]; its loss is 1 − score."""
    reference: Name
    """Baseline whose recorded loss on each slice is what live traffic is compared with."""
    slices: tuple[Name, ...] = ()
    """Names of `task.slices` that are watched one by one."""
    holdout: HoldoutRules = HoldoutRules()
    """Labelled items for snapshots."""
    drift: DriftRules = DriftRules()
    """Rules of the drift alarm."""
    canary: CanaryRules | None = None
    """Rules of the canary."""
    retrain: RetrainRules = RetrainRules()
    """Rules of retraining."""
