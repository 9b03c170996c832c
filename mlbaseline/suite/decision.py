"""The rules of the decision, written down before the runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mlbaseline.suite.nodes import MetricName, Name, Node


class Contrast(Node):
    """candidate against each of `over`, overall and on each value of `slices`. margin: see `records.Comparison`."""

    candidate: Name
    over: Annotated[tuple[Name, ...], Field(min_length=1)]
    metric: MetricName = "accuracy"
    margin: float = 0.0
    slices: tuple[Name, ...] = ()


class Matrix(Node):
    """The pre-registered comparisons. `primary` is a family under `correction`; every guardrail must pass by itself.

    min_slice_examples: a slice with fewer is not tested, and a guardrail on it stays inconclusive.
    """

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    correction: Literal["holm", "romano_wolf", "none"] = "holm"
    primary: tuple[Contrast, ...] = ()
    guardrails: tuple[Contrast, ...] = ()
    min_slice_examples: Annotated[int, Field(ge=2)] = 20

    def claim(
        self, role: str, candidate: str, baseline: str, *, metric: str, margin: float | None, slicing: str | None
    ) -> str:
        """One registered question in words, with all that its test depends on but the seeds. role: primary, guardrail.

        Equal words are the same claim, whichever suite says them.
        """
        where = f" on each value of {slicing} with {self.min_slice_examples} examples" if slicing else ""
        how = f", corrected by {self.correction}" if role == "primary" else ""
        return (
            f"{role}: {candidate} over {baseline} by {metric}{where}, margin {float(margin or 0):g}, "
            f"level {self.level:g}{how}"
        )

    def claims(self) -> tuple[str, ...]:
        """Every registered question, primary ones first."""
        roles = (("primary", self.primary), ("guardrail", self.guardrails))
        return tuple(
            self.claim(
                role, contrast.candidate, baseline, metric=contrast.metric, margin=contrast.margin, slicing=slicing
            )
            for role, contrasts in roles
            for contrast in contrasts
            for baseline in contrast.over
            for slicing in (None, *contrast.slices)
        )


class Gates(Node):
    """Budgets that the winner must keep. What is not measured does not pass.

    min_examples: that both sides of every registered contrast must have been scored on, all slices together.
    strict: the upper end of the interval must keep the budgets of latency and cost; without it, the estimate must.
    confirmatory: the rules must have been written before the first evaluation of the task.
    audit: checks that block where they fail, by code (`MLB401`) or by severity (`error`).
    """

    min_seeds: PositiveInt | None = None
    min_examples: PositiveInt | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    latency_p95_s: Annotated[float, Field(gt=0)] | None = None
    latency_p99_s: Annotated[float, Field(gt=0)] | None = None
    cost_per_query_usd: Annotated[float, Field(ge=0)] | None = None
    peak_memory_bytes: PositiveInt | None = None
    strict: bool = False
    confirmatory: bool = False
    audit: tuple[Annotated[str, Field(pattern=r"^(MLB\d{3}|error|warning|info)$")], ...] = ()
