"""Where a task's examples come from: files, the roles of their columns, splits and slices."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from mlbaseline.suite.node import SPLITS, Node, Sha256, ShortNode

EncodingErrors = Literal["strict", "replace"]
"""By the names that Python has for them."""


class DataSource(ShortNode):
    """One file that is split (`source`), or a file of its own per split (`train`, `dev`, `test`).

    A text in its place is the source.
    """

    added_later: ClassVar[frozenset[str]] = frozenset(
        {"encoding", "encoding_errors", "delimiter", "sheet", "max_ragged"}
    )

    source: str | None = None
    """One file that `task.split` divides into train, dev and test: a path, any other asset reference, or
    `datasets:/NAME` for an evaluation dataset of MLflow. Excludes `train`, `dev` and `test`.
    """
    sha256: Sha256 | None = None
    """SHA-256 that `source` must have, as 64 hexadecimal digits."""
    train: str | None = None
    """File of the training split. May be left out if no baseline is trained, few-shot or drawn from `train`."""
    dev: str | None = None
    """File of the development split, on which checkpoints are chosen."""
    test: str | None = None
    """File of the test split, on which the decision is taken."""
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "excel"] | None = None
    """Format of the files. Without it, the ending of the file's name decides: `.xlsx` is `excel`."""
    encoding: Annotated[str, Field(min_length=1)] | None = None
    """Character encoding of text files, such as `cp1252` for a CSV file of Excel. Without it, UTF-8."""
    encoding_errors: EncodingErrors = "strict"
    """What becomes of bytes that the encoding does not have. `strict`: they are an error that names the line and the
    encodings that decode the file. `replace`: each becomes U+FFFD and is counted. It is no part of the suite's digest:
    what was read is in that of the data.
    """
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Character between the cells of a csv or tsv file, such as `;`. Without it, a comma or a tab."""
    sheet: Annotated[str, Field(min_length=1)] | None = None
    """Name of the sheet of an Excel file. Without it, the only visible sheet that holds something."""
    max_ragged: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Largest share of the rows of a csv or tsv file that may be left out because their number of cells is not the
    header's. More is an error.
    """

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        try:
            codecs.lookup(encoding or "utf-8")
        except LookupError as error:
            raise ValueError(f"expected a character encoding such as utf-8 or cp1252, got {encoding!r}") from error
        return encoding

    @model_validator(mode="after")
    def _one_way(self) -> DataSource:
        if (self.source is None) == (self.test is None):
            raise ValueError("give either `source` (one file to split) or a file per split with at least `test`")
        if self.source is not None and (self.train or self.dev):
            raise ValueError("`source` and files per split exclude each other")
        if self.source is None and self.sha256:
            raise ValueError("`sha256` goes with `source`; files per split are covered by the split's digest")
        return self


class Columns(BaseModel):
    """Roles of the data's columns. Every further key renames a column into a prompt field: `text: tweet_body`."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    __pydantic_extra__: dict[str, str]

    target: str
    """Column with the right answer. For per-example `choices`: its text or its index, counted from 0."""
    id: str | None = None
    """Column whose value becomes the `example_id`. Without it, the id is a stable hash of the example's content."""
    cluster: str | None = None
    """Column that names the group of dependent examples, such as questions on one passage. Splits keep a group together
    and intervals account for it.
    """
    choices: tuple[str, ...] | None = None
    """Columns with the choices, for examples that differ in their choices. Replaces `task.choices`."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Prompt field ─▶ column of the data."""
        return self.__pydantic_extra__


class TextColumns(Node):
    """Roles of the columns where nothing but a text is needed."""

    text: str
    """Column with the text."""
    id: str | None = None
    """Column whose value becomes the `example_id`. Without it, the id is a stable hash of the text."""
    cluster: str | None = None
    """Column that names the group of dependent texts. Splits keep a group together and intervals account for it."""

    @property
    def target(self) -> str:
        return self.text

    @property
    def choices(self) -> None:
        return None

    @property
    def fields(self) -> Mapping[str, str]:
        return {"text": self.text}


class SplitSizes(Node):
    """Numbers of examples (> 1) or fractions (≤ 1), drawn in an order that depends on `seed` and content only."""

    train: Annotated[float, Field(ge=0)] = 0
    """Size of the training split: a number of examples (above 1) or a fraction (at most 1)."""
    dev: Annotated[float, Field(ge=0)] = 0
    """Size of the development split: a number of examples (above 1) or a fraction (at most 1)."""
    test: Annotated[float, Field(gt=0)]
    """Size of the test split: a number of examples (above 1) or a fraction (at most 1)."""
    seed: int = 0
    """Seed of the order in which examples are drawn."""

    @model_validator(mode="after")
    def _whole_or_fraction(self) -> SplitSizes:
        for name in SPLITS:
            size = getattr(self, name)
            if size > 1 and size != int(size):
                raise ValueError(f"{name}: a size above 1 is a number of examples and must be whole, got {size}")
        if sum(size for name in SPLITS if (size := getattr(self, name)) <= 1) > 1:
            raise ValueError("fractions of train, dev and test add up to more than 1")
        return self


class Slicing(ShortNode):
    """How examples are cut into groups: by pattern, bin, quantile or value of a column, or by the target.

    A text in its place is the column.
    """

    text_key: ClassVar[str] = "column"
    added_later: ClassVar[frozenset[str]] = frozenset({"target"})

    column: str | None = None
    """Column of the data that decides which slice an example belongs to."""
    target: bool = False
    """If true, in place of a column: each class of the target is a slice, for tasks of kind `choice`."""
    patterns: dict[str, str] | None = None
    """Slice value ─▶ regular expression that is searched in the column. The first that matches wins."""
    default: str = "other"
    """Slice value where no pattern matches."""
    bins: tuple[float, ...] | None = None
    """Ascending edges of half-open intervals [a, b). The last interval is closed."""
    labels: tuple[str, ...] | None = None
    """Names of the bins, one fewer than edges."""
    quantiles: Annotated[int, Field(ge=2, le=20)] | None = None
    """Number of equally large groups: of a number by its value, of a text by its length in characters."""

    @field_validator("patterns")
    @classmethod
    def _compiles(cls, patterns: dict[str, str] | None) -> dict[str, str] | None:
        for value, pattern in (patterns or {}).items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{value}: not a regular expression ({error}): {pattern!r}") from error
        return patterns

    @model_validator(mode="after")
    def _one_way(self) -> Slicing:
        if self.target == (self.column is not None):
            raise ValueError("give a `column`, or `target: true` to slice by the class of the target")
        if self.target and any(way is not None for way in (self.patterns, self.bins, self.quantiles)):
            raise ValueError("`target: true` has a slice for each class; leave `patterns`, `bins` and `quantiles` out")
        if sum(way is not None for way in (self.patterns, self.bins, self.quantiles)) > 1:
            raise ValueError("give one of `patterns`, `bins` and `quantiles`, or none to slice by the column's values")
        if self.bins is not None:
            if len(self.bins) < 2 or list(self.bins) != sorted(set(self.bins)):
                raise ValueError(f"bins must be at least two ascending edges, got {list(self.bins)}")
            if self.labels is not None and len(self.labels) != len(self.bins) - 1:
                raise ValueError(
                    f"{len(self.bins)} edges make {len(self.bins) - 1} bins, got {len(self.labels)} labels"
                )
        elif self.labels is not None:
            raise ValueError("`labels` goes with `bins`")
        return self
