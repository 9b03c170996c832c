"""The types of a suite file. `suite_file` reads one; unknown keys are errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    PrivateAttr,
    Tag,
    field_validator,
    model_validator,
)

from mlbaseline.records import digest_of

MetricName = Literal["accuracy", "macro_f1", "mcc", "nll_nats", "brier", "ece"]
Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ---- task -----------------------------------------------------------------------------------------------------------


class Asset(_Node):
    """A file or folder, with the SHA-256 that it must have.

    source: a path (relative to the suite file), `pip://NAME==VERSION/MEMBER`, `hf://…`, `runs:/…` or `models:/…`.
    """

    source: Annotated[str, Field(min_length=1)]
    sha256: Sha256 | None = None


class DataSource(_Node):
    """One file that is split (`source`), or a file of its own per split (`train`, `dev`, `test`)."""

    source: str | None = None
    sha256: Sha256 | None = None
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    format: Literal["csv", "tsv", "json", "jsonl", "parquet"] | None = None

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

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, str]

    target: str
    id: str | None = None
    cluster: str | None = None
    choices: tuple[str, ...] | None = None

    @property
    def fields(self) -> Mapping[str, str]:
        """Prompt field ─▶ column of the data."""
        return self.__pydantic_extra__


class SplitSizes(_Node):
    """Numbers of examples (> 1) or fractions (≤ 1), drawn in an order that depends on `seed` and content only."""

    train: Annotated[float, Field(ge=0)] = 0
    dev: Annotated[float, Field(ge=0)] = 0
    test: Annotated[float, Field(gt=0)]
    seed: int = 0

    @model_validator(mode="after")
    def _whole_or_fraction(self) -> SplitSizes:
        for name in SPLITS:
            size = getattr(self, name)
            if size > 1 and size != int(size):
                raise ValueError(f"{name}: a size above 1 is a number of examples and must be whole, got {size}")
        if sum(size for name in SPLITS if (size := getattr(self, name)) <= 1) > 1:
            raise ValueError("fractions of train, dev and test add up to more than 1")
        return self


class Slicing(_Node):
    """How one slice is cut: by pattern, by bin, by quantile, or by the values of a column.

    patterns: value ─▶ regular expression searched in the column, the first that matches wins, else `default`.
    bins: edges of half-open intervals [a, b), the last one closed; `labels` names them.
    quantiles: this many equally large groups, of a number as it is and of a text by its length in characters.
    """

    column: str
    patterns: dict[str, str] | None = None
    default: str = "other"
    bins: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    quantiles: Annotated[int, Field(ge=2, le=20)] | None = None

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


class Task(_Node):
    kind: Literal["choice"]
    data: DataSource
    columns: Columns
    prompt: Annotated[str, Field(min_length=1)]
    choices: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    split: SplitSizes | None = None
    slices: dict[Name, Slicing] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Task:
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


# ---- baselines ------------------------------------------------------------------------------------------------------


class Shots(_Node):
    """`k` solved examples in front of the prompt: the first of `train`, or a sample that differs by seed."""

    k: PositiveInt
    sample: Literal["first", "seed"] = "first"


class Trivial(_Node):
    """What needs no model: majority class, uniform or stratified random guessing, keyword rules (first match wins).

    function: `module:function` for strategy `callable`, given the example's prompt fields as a dict, gives the label.
    """

    kind: Literal["trivial"]
    strategy: Literal["majority", "uniform", "stratified", "keyword", "callable"]
    rules: dict[str, str] | None = None
    default: str | None = None
    function: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None

    @model_validator(mode="after")
    def _function_with_callable(self) -> Trivial:
        if (self.function is not None) != (self.strategy == "callable"):
            raise ValueError("`function` (module:function) goes with strategy `callable`")
        return self

    @model_validator(mode="after")
    def _rules_with_keyword(self) -> Trivial:
        given = (self.rules is not None, self.default is not None)
        if given != ((True, True) if self.strategy == "keyword" else (False, False)):
            raise ValueError("`rules` (label: regular expression) and `default` (label) go with strategy `keyword`")
        for label, pattern in (self.rules or {}).items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"rules.{label}: not a regular expression ({error}): {pattern!r}") from error
        return self


class Pretrained(_Node):
    """A model as it comes, asked zero-shot or few-shot."""

    kind: Literal["pretrained"]
    model: Asset
    shots: Shots | None = None

    @field_validator("shots", mode="before")
    @classmethod
    def _number(cls, shots: Any) -> Any:
        return ({"k": shots} if shots else None) if isinstance(shots, int) and not isinstance(shots, bool) else shots


class _Training(_Node):
    """Options of the training loop. batch_size counts examples per optimiser step, all accumulation included."""

    base: Name
    epochs: Annotated[int, Field(ge=1)] = 2
    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: PositiveInt = 16
    gradient_accumulation: PositiveInt = 1
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    gradient_checkpointing: bool = False
    select: MetricName = "accuracy"

    @model_validator(mode="after")
    def _divides(self) -> _Training:
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"gradient_accumulation ({self.gradient_accumulation}) must divide batch_size ({self.batch_size})"
            )
        return self


ALL_LINEAR = "all-linear"


class Peft(_Training):
    """A parameter-efficient fine-tune of another baseline's model.

    last_layers: adapt only this many layers, the last ones; nothing is carried back through those before them.
    """

    kind: Literal["peft"]
    method: Literal["lora"]
    rank: PositiveInt = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | tuple[str, ...] = ALL_LINEAR
    last_layers: PositiveInt | None = None

    @model_validator(mode="after")
    def _named_modules(self) -> Peft:
        if self.last_layers is not None and isinstance(self.target_modules, str) and self.target_modules != ALL_LINEAR:
            raise ValueError(f"`last_layers` goes with target_modules {ALL_LINEAR!r} or a list of names, not a pattern")
        return self


class Full(_Training):
    """A fine-tune of all weights of another baseline's model: the high-water mark."""

    kind: Literal["full"]


class Human(_Node):
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


class AnswersFile(_Node):
    """Answers from elsewhere, by the ids of the suite's test split. path: as an asset's `source`."""

    path: Annotated[str, Field(min_length=1)]
    sha256: Sha256 | None = None

    @property
    def asset(self) -> Asset:
        return Asset(source=self.path, sha256=self.sha256)


class Recorded(_Node):
    """A rung whose answers are already there, in a file. kind: which rung of the ladder it is."""

    kind: Literal["trivial", "pretrained", "production", "peft", "full", "human"]
    recorded: AnswersFile


class External(_Node):
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


def _tag_of(spec: Any) -> str | None:
    if not isinstance(spec, Mapping):
        return "recorded" if isinstance(spec, Recorded) else getattr(spec, "kind", None)
    return "recorded" if "recorded" in spec or spec.get("kind") == "production" else spec.get("kind")


BaselineSpec = Annotated[
    Annotated[Trivial, Tag("trivial")]
    | Annotated[Pretrained, Tag("pretrained")]
    | Annotated[Peft, Tag("peft")]
    | Annotated[Full, Tag("full")]
    | Annotated[External, Tag("external")]
    | Annotated[Human, Tag("human")]
    | Annotated[Recorded, Tag("recorded")],
    Discriminator(_tag_of),
]
TrainedSpec = Peft | Full
KINDS = ("trivial", "pretrained", "production", "peft", "full", "external", "human")
TAGS = (*KINDS, "recorded")
"""What tells the specs of baselines apart: their kind, or that their answers are recorded."""


# ---- rules of the decision ------------------------------------------------------------------------------------------


class Contrast(_Node):
    """candidate against each of `over`, overall and on each value of `slices`. margin: see `records.Comparison`."""

    candidate: Name
    over: Annotated[tuple[Name, ...], Field(min_length=1)]
    metric: MetricName = "accuracy"
    margin: float = 0.0
    slices: tuple[Name, ...] = ()


class Matrix(_Node):
    """The pre-registered comparisons. `primary` is a family under `correction`; every guardrail must pass by itself."""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    correction: Literal["holm", "romano_wolf", "none"] = "holm"
    primary: tuple[Contrast, ...] = ()
    guardrails: tuple[Contrast, ...] = ()


class Gates(_Node):
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


class Evaluation(_Node):
    """batch_tokens: budget of a batch, padding included. latency_sample: number of queries also timed one at a time."""

    batch_tokens: PositiveInt = 4096
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    max_length: Annotated[int, Field(ge=8)] = 2048
    latency_sample: Annotated[int, Field(ge=0)] = 24


class CostModel(_Node):
    """usd_per_hour: price of `cpu`, `cuda` or a device's full name. Training is spread over `queries` queries."""

    usd_per_hour: dict[str, Annotated[float, Field(ge=0)]] = {}
    queries: PositiveInt = 1_000_000


class Suite(_Node):
    """A validated suite file."""

    name: Name
    register_as: Annotated[str, Field(pattern=r"^[^/:]+$")] | None = None
    task: Task
    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)] = ("accuracy",)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)] = (0,)
    evaluation: Evaluation = Evaluation()
    cost: CostModel = CostModel()
    baselines: Annotated[dict[Name, BaselineSpec], Field(min_length=1)]
    matrix: Matrix = Matrix()
    gates: Gates = Gates()
    _root: Path = PrivateAttr(Path())
    _text: str = PrivateAttr("")

    def as_read(self, root: Path, text: str) -> Suite:
        """The same suite, knowing the folder that its relative paths start from and the file as it was written."""
        self._root, self._text = root, text
        return self

    @property
    def root(self) -> Path:
        return self._root

    @property
    def text(self) -> str:
        return self._text

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must differ from each other, got {list(seeds)}")
        return seeds

    @cached_property
    def digest(self) -> str:
        """Over everything the file says, wherever it lies."""
        return digest_of(self.model_dump(mode="json"))

    @cached_property
    def matrix_digest(self) -> str:
        """Over the rules of the decision: matrix, gates and seeds."""
        return digest_of(self.model_dump(mode="json", include={"matrix", "gates", "seeds"}))

    def of_kind(self, kind: str | None) -> tuple[str, ...]:
        """Names of the baselines of one kind, or of all."""
        return tuple(name for name, spec in self.baselines.items() if kind in (None, spec.kind))

    def base_model(self, spec: TrainedSpec) -> Asset:
        """The model that a fine-tune starts from."""
        base = self.baselines[spec.base]
        assert isinstance(base, Pretrained)  # suite_file has checked it
        return base.model
