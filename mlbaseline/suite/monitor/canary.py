"""How a candidate gets its share of the traffic, and what it must not harm."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, field_validator, model_validator

from mlbaseline.records.decisions import StoredText
from mlbaseline.suite.monitor.durations import PositiveDuration
from mlbaseline.suite.node import Name, Node

ERROR, COST = "error", "cost"
_LATENCY = re.compile(r"^latency_p(\d{2}(?:\.\d+)?)$")


class GuardrailKind(StoredText):
    """What a guardrail of the canary looks at."""

    ERROR = "error"
    """Failed requests."""
    LATENCY = "latency"
    """A quantile of the latency."""
    COST = "cost"
    """The mean cost of a query."""
    SCORE = "score"
    """The mean score of labelled requests."""


def guardrail_kind(name: str) -> GuardrailKind:
    """Return what a guardrail of this name looks at.

    Example:
        >>> guardrail_kind("latency_p95").value, guardrail_kind("accuracy").value
        ('latency', 'score')
    """
    if name in (ERROR, COST):
        return GuardrailKind(name)
    return GuardrailKind.LATENCY if _LATENCY.match(name) else GuardrailKind.SCORE


def latency_quantile(name: str) -> float:
    """Return the probability of a latency guardrail's quantile.

    Example:
        >>> latency_quantile("latency_p95")
        0.95
    """
    found = _LATENCY.match(name)
    assert found  # the guardrail's kind is LATENCY
    return float(found[1]) / 100


class RampStep(Node):
    """A share of the traffic, and how long the candidate has it before the next one."""

    share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the units (users, sessions) or requests that the candidate answers, between 0 and 1."""
    hold: PositiveDuration
    """Shortest time at this share, such as `2d`."""


class Guardrail(Node):
    """The harm that the candidate may do at most. Give one of the two."""

    added_later: ClassVar[frozenset[str]] = frozenset({"negligible"})

    ratio: Annotated[float, Field(ge=1)] | None = None
    """Largest ratio of the candidate's failures, latency quantile or cost to the champion's. 1 tolerates no rise."""
    margin: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Largest loss of the mean score, in units of the score."""
    negligible: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Only for `error`: a failure rate that is no harm, whatever the champion's rate is. Give it where failures are so
    rare that their ratio is not known before the horizon.
    """

    @model_validator(mode="after")
    def _one_of_both(self) -> Guardrail:
        if (self.ratio is None) == (self.margin is None):
            raise ValueError("expected either `ratio` or `margin`")
        return self


class CanaryRules(Node):
    """The canary: its candidate, its ramp, and the rules of its decision, which hold at any look."""

    candidate: Name
    """Baseline of the suite that is tried on live traffic."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Error rate: that a candidate without harm is rolled back by any guardrail, or a harmful one promoted."""
    ramp: Annotated[tuple[RampStep, ...], Field(min_length=1)] = (RampStep(share=0.05, hold=timedelta(days=1)),)
    """Shares of the traffic, rising."""
    horizon: PositiveDuration = timedelta(days=14)
    """Time after which an undecided canary is held."""
    guardrails: Annotated[dict[Name, Guardrail], Field(min_length=1)] = Field(
        default_factory=lambda: {ERROR: Guardrail(ratio=1.25)}
    )
    """What must not be harmed: `error`, `cost`, `latency_p50` to `latency_p99` with `ratio`, or a metric of the suite
    with `margin`.
    """

    @field_validator("guardrails")
    @classmethod
    def _negligible_failures(cls, guardrails: dict[str, Guardrail]) -> dict[str, Guardrail]:
        wrong = [name for name, rule in guardrails.items() if rule.negligible is not None and name != ERROR]
        if wrong:
            raise ValueError(f"`negligible` is a rate of failures and goes with `{ERROR}`; leave it out of {wrong}")
        return guardrails

    @field_validator("ramp")
    @classmethod
    def _rises(cls, ramp: tuple[RampStep, ...]) -> tuple[RampStep, ...]:
        shares = [step.share for step in ramp]
        if shares != sorted(set(shares)):
            raise ValueError(f"shares must rise from step to step, got {shares}")
        return ramp
