"""A score that somebody published."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from mlbaseline.suite.node import Asset, Baseline, MetricName, Node, Sha256

Column = Annotated[str, Field(min_length=1)]


class Leaderboard(Node):
    """One row of a table of scores."""

    path: Annotated[str, Field(min_length=1)]
    """The table (CSV, TSV, JSON, JSONL or Parquet): a path or any other asset reference."""
    sha256: Sha256 | None = None
    """SHA-256 that the file must have, as 64 hexadecimal digits."""
    row: Annotated[dict[Column, str], Field(min_length=1)]
    """Column ─▶ text that its cell must hold. Together they must leave one row."""
    value: Column
    """Name of the column with the score."""
    n: Column | None = None
    """Name of the column with the number of examples behind the score."""
    standard_error: Column | None = None
    """Name of the column with the standard error of the score."""
    date: Column | None = None
    """Name of the column with the date of the score."""
    percent: bool = False
    """If true, score and standard error are in per cent and are divided by 100."""

    @field_validator("row", mode="before")
    @classmethod
    def _as_text(cls, row: Any) -> Any:
        """YAML reads `5` as a number, and the cells of a table are text."""
        return {key: str(cell) for key, cell in row.items()} if isinstance(row, dict) else row

    @property
    def asset(self) -> Asset:
        return Asset(source=self.path, sha256=self.sha256)


class Protocol(Node):
    """How a score was measured, as far as its source says."""

    prompt: str | None = None
    """Prompt template that the score was measured with. It is compared with `task.prompt`."""
    shots: Annotated[int, Field(ge=0)] | None = None
    """Number of solved examples that the score was measured with."""
    split: str | None = None
    """Split that the score was measured on, such as `test`."""
    note: str | None = None
    """Anything else about how the score was measured, in words."""


class External(Baseline):
    """A published score, without the answers behind it: shown beside the ladder, never paired, never deciding."""

    kind: Literal["external"]
    """A published score. It is shown beside the ladder, compared unpaired, and decides nothing."""
    metric: MetricName
    """Metric of the published score. It must be among the suite's `metrics`."""
    value: float | None = None
    """The published score, in units of the metric. Excludes `table`."""
    table: Leaderboard | None = None
    """Leaderboard that holds the score. Excludes `value`."""
    n: PositiveInt | None = None
    """Number of examples behind the score. It bounds the standard error of a share."""
    standard_error: Annotated[float, Field(gt=0)] | None = None
    """Standard error of the score, in units of the metric."""
    source: Annotated[str, Field(min_length=1)]
    """Where the score was published: a citation or an address."""
    date: str | None = None
    """When the score was published, as its source writes it."""
    protocol: Protocol | None = None
    """How the score was measured: words, or a mapping of `prompt`, `shots`, `split` and `note`. The report flags
    differences from this suite.
    """

    @field_validator("date", mode="before")
    @classmethod
    def _as_written(cls, date: Any) -> Any:
        """YAML reads `2024-05-01` as a date and `2024` as a number."""
        return None if date is None else str(date)

    @field_validator("protocol", mode="before")
    @classmethod
    def _in_words(cls, protocol: Any) -> Any:
        return {"note": protocol} if isinstance(protocol, str) else protocol

    @model_validator(mode="after")
    def _one_way(self) -> External:
        if (self.value is None) == (self.table is None):
            raise ValueError("give either `value` or the `table` that it stands in")
        twice = [
            name for name in ("n", "standard_error", "date") if getattr(self, name) and getattr(self.table, name, 0)
        ]
        if twice:
            raise ValueError(f"`{twice[0]}` stands here and in `table`; give it once")
        if self.value is not None:
            check_range(self.metric, self.value)
        return self


def check_range(metric: str, value: float) -> None:
    """Raise ValueError for what the metric cannot be."""
    if metric == "accuracy" and not 0 <= value <= 1:
        raise ValueError(f"value: an accuracy is a share from 0 to 1, got {value:g}")
