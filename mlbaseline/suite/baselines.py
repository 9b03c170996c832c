"""The rungs of the ladder: what may be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, PositiveInt, Tag, field_validator, model_validator

from mlbaseline.suite.external import External
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
from mlbaseline.suite.node import Asset, Baseline, FunctionName, Node, Sha256
from mlbaseline.suite.production import Production
from mlbaseline.suite.training_programs import ProgramAdapter, ProgramModel

Strategy = Literal["majority", "uniform", "stratified", "keyword", "constant", "callable"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


class Shots(Node):
    """Solved examples in front of the prompt."""

    k: PositiveInt
    """Number of solved examples in front of the prompt."""
    sample: Literal["first", "seed"] = "first"
    """`first`: the first `k` examples of `train`. `seed`: a random sample of `train` that differs by seed."""


class Trivial(Baseline):
    """A baseline that needs no model: majority class, random guessing, keyword rules, a constant answer, a function."""

    kind: Literal["trivial"]
    """Needs no model. It shows whether the task needs one."""
    strategy: Strategy
    """How answers are made: `majority`, the most frequent answer of `train`; `uniform`, each choice with equal
    probability; `stratified`, drawn as often as in `train`; `keyword`, the first rule that matches; `constant`, one
    answer for all; `callable`, a Python function of yours.
    """
    rules: dict[str, str] | None = None
    """For `keyword`: answer ─▶ regular expression, tried in this order. The first one found in the prompt fields gives
    the answer.
    """
    default: str | None = None
    """For `keyword`: the answer where no rule matches. For `constant`: the answer for all examples."""
    function: FunctionName | None = None
    """For `callable`: `module:function`. It gets the example's prompt fields as a dict and returns the answer."""

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
    """A pretrained model, evaluated zero-shot or few-shot."""

    kind: Literal["pretrained"]
    """The untouched model, zero-shot or few-shot."""
    model: Asset
    """The model: a folder, a GGUF file, or a `pip://`, `hf://`, `runs:/` or `models:/` reference."""
    shots: Shots | None = None
    """Number of solved examples in front of the prompt, or `{k: …, sample: …}`. Without it, the model answers
    zero-shot.
    """

    @property
    def is_random(self) -> bool:
        return self.shots is not None and self.shots.sample == "seed"

    @field_validator("shots", mode="before")
    @classmethod
    def _number(cls, shots: Any) -> Any:
        return ({"k": shots} if shots else None) if isinstance(shots, int) and not isinstance(shots, bool) else shots


class Human(Baseline):
    """The expected score of one annotator, from a column of agreement or from a file of labels."""

    kind: Literal["human"]
    """The score that one annotator is expected to reach."""
    agreement: str | None = None
    """Column of the data with the share of annotators that chose the target, from 0 to 1."""
    labels: Annotated[str, Field(min_length=1)] | None = None
    """File with the labels of each annotator (columns `example_id`, `annotator`, `label`): a path or any other asset
    reference.
    """

    @model_validator(mode="after")
    def _one_way(self) -> Human:
        if (self.agreement is None) == (self.labels is None):
            raise ValueError("give either `agreement` (a column of the data) or `labels` (a file)")
        return self


class AnswersFile(Node):
    """A file with answers to the suite's test split, joined by `example_id`."""

    path: Annotated[str, Field(min_length=1)]
    """The file (CSV, TSV, JSONL or Parquet): a path or any other asset reference. Rows are joined by `example_id`."""
    sha256: Sha256 | None = None
    """SHA-256 that the file must have, as 64 hexadecimal digits."""

    @property
    def asset(self) -> Asset:
        return Asset(source=self.path, sha256=self.sha256)


class Recorded(Baseline):
    """A rung whose answers are recorded in a file."""

    kind: Literal["trivial", "pretrained", "production", "peft", "full", "human"]
    """Which rung of the ladder the recorded answers stand for."""
    recorded: AnswersFile | Literal["imported"]
    """The file with the answers; `imported` where `mlbaseline import` brings them."""


PEFT = "peft:"
"""Begins the tags of PEFT methods."""


def _tag_of(spec: Any) -> str | None:
    """Give what tells the specs apart: kind, method, and whether there are answers or weights already."""
    if not isinstance(spec, Mapping | Baseline):
        return None
    fields = spec if isinstance(spec, Mapping) else vars(spec)
    kind = fields.get("kind")
    if "recorded" in fields:
        return "recorded"
    if kind in ("full", "peft") and "train" in fields:
        return f"{kind}:program"
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
    | Annotated[ProgramAdapter, Tag("peft:program")]
    | Annotated[Full, Tag("full")]
    | Annotated[ReadyModel, Tag("full:ready")]
    | Annotated[ProgramModel, Tag("full:program")]
    | Annotated[External, Tag("external")]
    | Annotated[Human, Tag("human")]
    | Annotated[Production, Tag("production")]
    | Annotated[Recorded, Tag("recorded")],
    Discriminator(_tag_of),
]
METHODS = ("lora", "ia3", "prompt_tuning", "prefix_tuning", "peft")
KINDS = ("trivial", "pretrained", "production", "peft", "full", "external", "human")
TAGS = (
    *KINDS,
    "recorded",
    *(PEFT + method for method in METHODS),
    *("peft:ready", "full:ready", "peft:program", "full:program"),
)
