"""The rules of the decision, written down before the runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, SerializerFunctionWrapHandler, model_serializer

from mlbaseline.suite.node import Name, Node, ReportedMetric


class Contrast(Node):
    """A candidate against each baseline of `over`, overall and on each value of `slices`."""

    candidate: Name
    """Baseline that should be better. The winner of the suite is one of these."""
    over: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Baselines that the candidate is compared with, each on the same examples."""
    metric: ReportedMetric = "accuracy"
    """Metric of the comparison. It must be among the suite's `metrics`."""
    margin: float = 0.0
    """Improvement that the candidate must exceed, in units of the metric and with more being better. A negative margin
    is the loss that is tolerated (non-inferiority).
    """
    slices: tuple[Name, ...] = ()
    """Names of `task.slices`. The contrast is also tested on each of their values."""


class Matrix(Node):
    """The pre-registered comparisons."""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Confidence level of all intervals. Tests use α = 1 − level."""
    correction: Literal["holm", "romano_wolf", "none"] = "holm"
    """Correction for the number of primary contrasts: `holm`, `romano_wolf` (uses their correlation), or `none`."""
    primary: tuple[Contrast, ...] = ()
    """Contrasts that show that the candidate is better. They form one family for the correction, and all of a
    candidate's contrasts must pass.
    """
    guardrails: tuple[Contrast, ...] = ()
    """Contrasts that show that the candidate does no harm. Each must pass by itself."""
    winner_by: ReportedMetric | None = None
    """Metric on `dev` by which the winner is chosen where several candidates pass. By default that of the first primary
    contrast.
    """
    min_slice_examples: Annotated[int, Field(ge=2)] = 20
    """Smallest number of examples on which a slice is tested. A guardrail on a smaller slice stays inconclusive."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a key that came after suites were first digested, where the suite does not use it."""
        content: dict[str, Any] = serialize(self)
        return {key: value for key, value in content.items() if key != "winner_by" or value is not None}

    def claim(
        self, role: str, candidate: str, baseline: str, *, metric: str, margin: float | None, slicing: str | None
    ) -> str:
        """Put a registered question in words: all that its test depends on but the seeds. role: primary, guardrail.

        Equal words are the same claim, whichever suite says them.
        """
        where = f" on each value of {slicing} with {self.min_slice_examples} examples" if slicing else ""
        how = f", corrected by {self.correction}" if role == "primary" else ""
        return (
            f"{role}: {candidate} over {baseline} by {metric}{where}, margin {float(margin or 0):g}, "
            f"level {self.level:g}{how}"
        )

    def claims(self) -> tuple[str, ...]:
        """List every registered question, primary ones first."""
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
    """Budgets that the winner must keep. What is not measured does not pass."""

    min_seeds: PositiveInt | None = None
    """Smallest number of seeds of a candidate that has any randomness."""
    min_examples: PositiveInt | None = None
    """Smallest number of examples behind each registered contrast, all slices together."""
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    """Largest share of failed examples, from 0 to 1."""
    latency_p95_s: Annotated[float, Field(gt=0)] | None = None
    """Largest 95th percentile of latency, in seconds per query."""
    latency_p99_s: Annotated[float, Field(gt=0)] | None = None
    """Largest 99th percentile of latency, in seconds per query."""
    cost_per_query_usd: Annotated[float, Field(ge=0)] | None = None
    """Largest cost of a query, in USD, with training spread over `cost.queries`."""
    peak_memory_bytes: PositiveInt | None = None
    """Largest peak memory while answering, in bytes."""
    strict: bool = False
    """If true, the upper end of the interval must keep the budgets of latency and cost. If false, the estimate must."""
    confirmatory: bool = False
    """If true, the rules must have been registered before the first evaluation of the task."""
    audit: tuple[Annotated[str, Field(pattern=r"^(MLB\d{3}|error|warning|info)$")], ...] = ()
    """Further audit checks that block a promotion where they fail: codes (`MLB305`) or severities (`warning`, `info`).
    Checks of severity `error` always do.
    """
    waive: dict[Annotated[str, Field(pattern=r"^MLB\d{3}$")], Annotated[str, Field(min_length=3)]] = Field(
        default_factory=dict
    )
    """Audit checks that may fail without blocking a promotion: code ─▶ reason. The reason stands in the verdict and
    on the registered version.
    """

    @model_serializer(mode="wrap")
    def _leave_out_what_is_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a key that came after suites were first digested, where the suite does not use it."""
        content: dict[str, Any] = serialize(self)
        return content if self.waive else {key: value for key, value in content.items() if key != "waive"}
