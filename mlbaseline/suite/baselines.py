"""The rungs of the ladder: what may be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag, field_validator, model_validator

from mlbaseline.suite.finetunes import (
    Full,
    Ia3,
    Lora,
    OtherPeft,
    PrefixTuning,
    PromptTuning,
    ReadyAdapter,
    ReadyModel,
)
from mlbaseline.suite.nodes import Asset, Baseline, MetricName, Node, Sha256


class Shots(Node):
    """`k` solved examples in front of the prompt: the first of `train`, or a sample that differs by seed."""

    k: PositiveInt
    sample: Literal["first", "seed"] = "first"


class Trivial(Baseline):
    """What needs no model: majority class, uniform or stratified random guessing, keyword rules (first match wins), one
    answer for all.

    default: the answer where no rule matches, or that of strategy `constant`. function: `module:function` for strategy
    `callable`, given the example's prompt fields as a dict, gives the answer.
    """

    kind: Literal["trivial"]
    strategy: Literal["majority", "uniform", "stratified", "keyword", "constant", "callable"]
    rules: dict[str, str] | None = None
    default: str | None = None
    function: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None

    @property
    def is_random(self) -> bool:
        return self.strategy in ("uniform", "stratified")

    @model_validator(mode="after")
    def _function_with_callable(self) -> Trivial:
        if (self.function is not None) != (self.strategy == "callable"):
            raise ValueError("`function` (module:function) goes with strategy `callable`")
        return self

    @model_validator(mode="after")
    def _rules_with_keyword(self) -> Trivial:
        given = (self.rules is not None, self.default is not None)
        if given != {"keyword": (True, True), "constant": (False, True)}.get(self.strategy, (False, False)):
            raise ValueError(
                "`rules` (label: regular expression) and `default` (label) go with strategy `keyword`, `default` alone "
                "with `constant`"
            )
        for label, pattern in (self.rules or {}).items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"rules.{label}: not a regular expression ({error}): {pattern!r}") from error
        return self


class Pretrained(Baseline):
    """A model as it comes, asked zero-shot or few-shot."""

    kind: Literal["pretrained"]
    model: Asset
    shots: Shots | None = None

    @property
    def is_random(self) -> bool:
        return self.shots is not None and self.shots.sample == "seed"

    @field_validator("shots", mode="before")
    @classmethod
    def _number(cls, shots: Any) -> Any:
        return ({"k": shots} if shots else None) if isinstance(shots, int) and not isinstance(shots, bool) else shots


class Human(Baseline):
    """What one annotator is expected to score.

    agreement: the data's column with the share of annotators that gave the target. labels: a file with what each
    annotator said (columns example_id, annotator, label), as an asset's `source`.
    """

    kind: Literal["human"]
    agreement: str | None = None
    labels: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Human:
        if (self.agreement is None) == (self.labels is None):
            raise ValueError("give either `agreement` (a column of the data) or `labels` (a file)")
        return self


class AnswersFile(Node):
    """Answers from elsewhere, by the ids of the suite's test split. path: as an asset's `source`."""

    path: Annotated[str, Field(min_length=1)]
    sha256: Sha256 | None = None

    @property
    def asset(self) -> Asset:
        return Asset(source=self.path, sha256=self.sha256)


class Recorded(Baseline):
    """A rung whose answers are already there, in a file. kind: which rung of the ladder it is."""

    kind: Literal["trivial", "pretrained", "production", "peft", "full", "human"]
    recorded: AnswersFile


class External(Baseline):
    """A published score, without the answers behind it: shown beside the ladder, never paired, never deciding.

    standard_error: of `value`; without it, and where the metric is a share, `n` examples bound it. protocol: how it was
    measured, in the words of its source.
    """

    kind: Literal["external"]
    metric: MetricName
    value: float
    n: PositiveInt | None = None
    standard_error: Annotated[float, Field(gt=0)] | None = None
    source: Annotated[str, Field(min_length=1)]
    date: str | None = None
    protocol: str | None = None

    @field_validator("date", mode="before")
    @classmethod
    def _as_written(cls, date: Any) -> Any:
        """YAML reads `2024-05-01` as a date and `2024` as a number."""
        return None if date is None else str(date)

    @model_validator(mode="after")
    def _in_range(self) -> External:
        if self.metric == "accuracy" and not 0 <= self.value <= 1:
            raise ValueError(f"value: an accuracy is a share from 0 to 1, got {self.value:g}")
        return self


PEFT = "peft:"
"""Begins the tags of PEFT methods."""


def _tag_of(spec: Any) -> str | None:
    """What tells the specs apart: kind, method, and whether there are answers or weights already."""
    if not isinstance(spec, Mapping | Baseline):
        return None
    fields = spec if isinstance(spec, Mapping) else vars(spec)
    kind = fields.get("kind")
    if "recorded" in fields or kind == "production":
        return "recorded"
    if kind == "full" and "model" in fields:
        return "full:ready"
    if kind == "peft":
        return f"{PEFT}ready" if "adapter" in fields else f"{PEFT}{fields.get('method', '')}"
    return str(kind) if kind else None


BaselineSpec = Annotated[
    Annotated[Trivial, Tag("trivial")]
    | Annotated[Pretrained, Tag("pretrained")]
    | Annotated[Lora, Tag("peft:lora")]
    | Annotated[Ia3, Tag("peft:ia3")]
    | Annotated[PromptTuning, Tag("peft:prompt_tuning")]
    | Annotated[PrefixTuning, Tag("peft:prefix_tuning")]
    | Annotated[OtherPeft, Tag("peft:peft")]
    | Annotated[ReadyAdapter, Tag("peft:ready")]
    | Annotated[Full, Tag("full")]
    | Annotated[ReadyModel, Tag("full:ready")]
    | Annotated[External, Tag("external")]
    | Annotated[Human, Tag("human")]
    | Annotated[Recorded, Tag("recorded")],
    Discriminator(_tag_of),
]
METHODS = ("lora", "ia3", "prompt_tuning", "prefix_tuning", "peft")
KINDS = ("trivial", "pretrained", "production", "peft", "full", "external", "human")
TAGS = (*KINDS, "recorded", *(PEFT + method for method in METHODS), "peft:ready", "full:ready")
