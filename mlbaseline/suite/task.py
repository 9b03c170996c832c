"""What is asked: the kinds of task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlbaseline.suite.data import Columns, DataSource, Slicing, SplitSizes
from mlbaseline.suite.nodes import Name, Node


class ChoiceTask(Node):
    """One of several choices is right; what is scored is how likely each of them is."""

    kind: Literal["choice"]
    data: DataSource
    columns: Columns
    prompt: Annotated[str, Field(min_length=1)]
    choices: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    split: SplitSizes | None = None
    slices: dict[Name, Slicing] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> ChoiceTask:
        if (self.choices is None) == (self.columns.choices is None):
            raise ValueError("give either `choices` (the same for all examples) or `columns.choices` (their columns)")
        if self.choices is not None and len(set(self.choices)) != len(self.choices):
            raise ValueError(f"choices must differ from each other, got {list(self.choices)}")
        if (self.data.source is None) == (self.split is not None):
            raise ValueError(
                "`split` divides `data.source`: give it with one source, leave it out with a file per split"
            )
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What an answer may be: the choices themselves, or their positions where they differ by example."""
        if self.choices is not None:
            return self.choices
        return tuple(str(position) for position in range(len(self.columns.choices or ())))


Task = ChoiceTask
