"""The rules of the decision, written down before the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

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


_SUM_TOLERANCE = 1e-3


class Weighting(Node):
    """How much each example counts: by a column of the data, or so that a slice has the shares that are given."""

    column: Annotated[str, Field(min_length=1)] | None = None
    """Column of the data with the weight of each example, above 0. Only their ratios matter."""
    slice: Name | None = None
    """Name of a slice of `task.slices`, whose values are weighted to `mix` (post-stratification)."""
    mix: Annotated[dict[str, Annotated[float, Field(gt=0, lt=1)]], Field(min_length=2)] | None = None
    """Value of the slice ─▶ its share in production. Every value that the test has, together 1."""

    @model_validator(mode="after")
    def _one_way(self) -> Weighting:
        if (self.slice is None) != (self.mix is None) or (self.column is None) == (self.slice is None):
            raise ValueError("give a `column` with weights, or a `slice` and its `mix`")
        if self.mix is not None and abs(sum(self.mix.values()) - 1.0) > _SUM_TOLERANCE:
            raise ValueError(f"mix: expected shares that add up to 1, got a sum of {sum(self.mix.values()):g}")
        return self

    def __str__(self) -> str:
        """In words, behind `weighted `."""
        if self.mix is None:
            return f"by the column {self.column}"
        return f"to the mix of {self.slice}: " + ", ".join(f"{name} {share:g}" for name, share in self.mix.items())


_SMALLEST_STEP = 0.05
"""Share of the test between two looks."""


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
    looks: tuple[float, ...] = ()
    """Shares of `test` after which `--until-settled` looks at the contrasts, such as `[0.2, 0.4, 0.6, 0.8, 1.0]`. The
    error rate is spent over them, whether or not a run stops early.
    """
    stop: Literal["primary", "all"] = "primary"
    """Which contrasts are looked at, with `looks`. `primary`: guardrails are tested once, on the whole test. `all`:
    guardrails too, so that their rungs may stop early.
    """
    may_grow: bool = False
    """If true, `test` may get more examples after a comparison: the error rate is spent over all looks from the first
    one on. If false, a test that grew all the same is tested strictly from its second look on.
    """

    weights: Weighting | None = None
    """How much each example counts in the means that are compared. By default all count the same."""

    @property
    def primary_rungs(self) -> tuple[str, ...]:
        """Both sides of every primary contrast."""
        return _sides(self.primary)

    @property
    def registered_rungs(self) -> tuple[str, ...]:
        """Both sides of every registered contrast."""
        return _sides((*self.primary, *self.guardrails))

    @property
    def looked_at_rungs(self) -> tuple[str, ...]:
        """Both sides of every contrast that a look may settle."""
        return self.registered_rungs if self.stop == "all" else self.primary_rungs

    @field_validator("looks")
    @classmethod
    def _are_in_order(cls, looks: tuple[float, ...]) -> tuple[float, ...]:
        steps = [after - before for before, after in zip((0.0, *looks), looks, strict=False)]
        if looks and (len(looks) < 2 or looks[-1] != 1.0 or min(steps) < _SMALLEST_STEP - 1e-9):
            raise ValueError(
                f"expected at least two shares of the test, each {_SMALLEST_STEP:g} or more above the one before, the "
                f"last 1.0, such as [0.2, 0.4, 0.6, 0.8, 1.0]; got {list(looks)}"
            )
        return looks

    @model_serializer(mode="wrap")
    def _leave_out_what_is_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out keys that came after suites were first digested, where the suite does not use them."""
        content: dict[str, Any] = serialize(self)
        unused = {
            "winner_by": self.winner_by is None,
            "looks": not self.looks,
            "stop": not self.looks,
            "may_grow": not self.may_grow,
            "weights": self.weights is None,
        }
        return {key: value for key, value in content.items() if not unused.get(key, False)}

    def claim(
        self, role: str, candidate: str, baseline: str, *, metric: str, margin: float | None, slicing: str | None
    ) -> str:
        """Put a registered question in words: all that its test depends on but the seeds. role: primary, guardrail.

        Equal words are the same claim, whichever suite says them.
        """
        where = f" on each value of {slicing} with {self.min_slice_examples} examples" if slicing else ""
        how = f", corrected by {self.correction}" if role == "primary" else ""
        if self.looks and (role == "primary" or self.stop == "all"):
            how += f", looked at {', '.join(f'{share:g}' for share in self.looks)}"
        how += ", of a test that may grow" if self.may_grow else ""
        how += f", weighted {self.weights}" if self.weights else ""
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


def _sides(contrasts: Sequence[Contrast]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for contrast in contrasts for name in (contrast.candidate, *contrast.over)))


class Gates(Node):
    """Budgets that the winner must keep. What is not measured does not pass."""

    added_later: ClassVar[frozenset[str]] = frozenset({"waive", "signed_by"})

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
    signed_by: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] | None = None
    """Public keys by one of which a verdict must be signed before it promotes: paths of PEM files, relative to the
    suite, or fingerprints (`sha256:…`). A champion that stands as a rung must be signed, too.
    """
    waive: dict[Annotated[str, Field(pattern=r"^MLB\d{3}$")], Annotated[str, Field(min_length=3)]] = Field(
        default_factory=dict
    )
    """Audit checks that may fail without blocking a promotion: code ─▶ reason. The reason stands in the verdict and
    on the registered version.
    """
