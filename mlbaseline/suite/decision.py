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
    """The pre-registered comparisons. `primary` is a family under `correction`; every guardrail must pass by itself."""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    correction: Literal["holm", "romano_wolf", "none"] = "holm"
    primary: tuple[Contrast, ...] = ()
    guardrails: tuple[Contrast, ...] = ()


class Gates(Node):
    """Budgets that the winner must keep. What is not measured does not pass.

    confirmatory: the rules must have been written before the first evaluation of the task.
    audit: checks that block where they fail, by code (`MLB401`) or by severity (`error`).
    """

    min_seeds: PositiveInt | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    latency_p95_s: Annotated[float, Field(gt=0)] | None = None
    cost_per_query_usd: Annotated[float, Field(ge=0)] | None = None
    peak_memory_bytes: PositiveInt | None = None
    confirmatory: bool = False
    audit: tuple[Annotated[str, Field(pattern=r"^(MLB\d{3}|error|warning|info)$")], ...] = ()
