"""A score that somebody published."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from mlbaseline.suite.nodes import Asset, Baseline, MetricName, Node, Sha256

Column = Annotated[str, Field(min_length=1)]


class Leaderboard(Node):
    """A table of scores, one row of which is meant. path: as an asset's `source`.

    row: column ─▶ text that its cell must be, enough of them for one row to be left. value, n, standard_error, date:
    names of the columns that hold them. percent: value and standard error are in per cent.
    """

    path: Annotated[str, Field(min_length=1)]
    sha256: Sha256 | None = None
    row: Annotated[dict[Column, str], Field(min_length=1)]
    value: Column
    n: Column | None = None
    standard_error: Column | None = None
    date: Column | None = None
    percent: bool = False

    @field_validator("row", mode="before")
    @classmethod
    def _as_text(cls, row: Any) -> Any:
        """YAML reads `5` as a number, and the cells of a table are text."""
        return {key: str(cell) for key, cell in row.items()} if isinstance(row, dict) else row

    @property
    def asset(self) -> Asset:
        return Asset(source=self.path, sha256=self.sha256)


class Protocol(Node):
    """How a score was measured, as far as its source says: what can be held against how this suite measures."""

    prompt: str | None = None
    shots: Annotated[int, Field(ge=0)] | None = None
    split: str | None = None
    note: str | None = None


class External(Baseline):
    """A published score, without the answers behind it: shown beside the ladder, never paired, never deciding.

    value: or the `table` that it stands in. standard_error: of the value; without it, and where the metric is a share,
    `n` examples bound it. protocol: how it was measured: in the words of its source, or prompt, shots and split.
    """

    kind: Literal["external"]
    metric: MetricName
    value: float | None = None
    table: Leaderboard | None = None
    n: PositiveInt | None = None
    standard_error: Annotated[float, Field(gt=0)] | None = None
    source: Annotated[str, Field(min_length=1)]
    date: str | None = None
    protocol: Protocol | None = None

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
    """Raises ValueError for what the metric cannot be."""
    if metric == "accuracy" and not 0 <= value <= 1:
        raise ValueError(f"value: an accuracy is a share from 0 to 1, got {value:g}")
