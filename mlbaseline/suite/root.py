"""The whole suite file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Field,
    PositiveInt,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from mlbaseline.format_versions import KEY, SUITE
from mlbaseline.records import digest_of
from mlbaseline.suite.baselines import BaselineSpec, Human, Pretrained, Recorded, Trivial
from mlbaseline.suite.decision import Gates, Matrix
from mlbaseline.suite.evaluation import PLACEMENT_KEYS, Evaluation
from mlbaseline.suite.external import External
from mlbaseline.suite.finetunes import Peft, ReadyAdapter, TrainedSpec
from mlbaseline.suite.judged import JudgedMetric, ListedMetric, names_of
from mlbaseline.suite.monitor import Monitor
from mlbaseline.suite.node import Asset, Name, Node, TokenPrice, Usd
from mlbaseline.suite.production import Production
from mlbaseline.suite.task import TASKS, ChoiceTask, Task
from mlbaseline.suite.training_programs import ProgramSpec


def with_defaults(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in the options of a suite file that follow from the kind of its task.

    They are the metrics, that of every contrast, and the one by which a training chooses its epoch; for kind `choice`
    they are the defaults of those options anyway. Leaves alone what is no mapping or list where it should be.
    """
    task = content.get("task")
    kind = TASKS.get(str(task.get("kind"))) if isinstance(task, Mapping) else None
    is_loaded = kind is not None and kind.output_type is None  # its defaults are known when the task is loaded
    if kind is None or (is_loaded and "metrics" not in content):
        return content
    if is_loaded:
        filled = dict(content)
    elif kind.default_metric == ChoiceTask.default_metric:
        return content
    else:
        filled = {"metrics": [kind.default_metric], **content}
    reported = next(iter(names_of(filled["metrics"])), None)
    baselines, matrix = content.get("baselines"), content.get("matrix")
    if isinstance(baselines, Mapping) and not is_loaded:
        filled["baselines"] = {
            name: {"select": kind.selects_by, **spec} if _is_trained(spec) else spec for name, spec in baselines.items()
        }
    if isinstance(matrix, Mapping):
        filled["matrix"] = {
            key: [{"metric": reported, **row} if isinstance(row, Mapping) else row for row in rows]
            if key in ("primary", "guardrails") and isinstance(rows, list)
            else rows
            for key, rows in matrix.items()
        }
    return filled


def _is_trained(spec: Any) -> bool:
    ready = {"recorded", "adapter", "model"}
    return isinstance(spec, Mapping) and spec.get("kind") in ("peft", "full") and not ready & spec.keys()


class CostModel(Node):
    """The price list."""

    usd_per_hour: dict[str, Usd] = Field(default_factory=dict)
    """Device ─▶ USD per hour. A device is `cpu`, `cuda`, or its full name, which takes precedence."""
    usd_per_million_tokens: dict[Name, TokenPrice] = Field(default_factory=dict)
    """Baseline ─▶ price of its tokens, in place of the hardware's time."""
    queries: PositiveInt = 1_000_000
    """Number of queries over which the cost of training is spread."""

    def hourly_price(self, device_name: str, device: str) -> float | None:
        """Find the price for the device's full name, else for its type (`cuda`, `cpu`), else None: none is guessed."""
        for key in (device_name, device.split(":", maxsplit=1)[0]):
            if key in self.usd_per_hour:
                return self.usd_per_hour[key]
        return None


class Suite(Node):
    """A validated suite file."""

    name: Name
    """Name of the suite, and of the MLflow experiment."""
    register_as: Annotated[str, Field(pattern=r"^[^/:]+$")] | None = None
    """Name of the registered model that the winner becomes a version of. Without it, nothing is registered."""
    task: Task
    """What is asked: data, prompt, splits and slices."""
    listed_metrics: Annotated[tuple[ListedMetric, ...], Field(min_length=1, alias="metrics")] = ("accuracy",)
    """Metrics to report. They must fit the kind of task. A mapping `name: {judge: …}` is one that a judge scores."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)] = (0,)
    """Seeds of training, few-shot samples and sampled texts. A baseline without randomness runs once."""
    evaluation: Evaluation = Evaluation()
    """How models are evaluated."""
    cost: CostModel = CostModel()
    """Prices of hardware and tokens."""
    baselines: Annotated[dict[Name, BaselineSpec], Field(min_length=1)]
    """The ladder: name ─▶ rung."""
    matrix: Matrix = Matrix()
    """The comparisons that decide. They are registered before the first run."""
    gates: Gates = Gates()
    """Budgets and conditions that the winner must keep."""
    monitor: Monitor | None = None
    """What goes on after a promotion: live traffic, snapshots, drift, canary, retraining."""
    traces: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Rows of each rung that a comparison logs as MLflow traces with assessments, for the pages Evaluation runs and
    Datasets. The same examples for every rung. A row takes about 0.05 s; 0 logs none.
    """
    format_version: Annotated[int, Field(ge=1, le=SUITE.newest)] = 1
    """Version of the form of suite files that this one is written in. A later one is refused."""
    _root: Path = PrivateAttr(Path())
    _text: str = PrivateAttr("")
    _written: Suite | None = PrivateAttr(None)

    def as_read(self, root: Path, text: str) -> Suite:
        """Note the folder that the suite's relative paths start from, and the file as it was written."""
        self._root, self._text = root, text
        return self

    def as_run(self, written: Suite) -> Suite:
        """Note the written suite of which this one is the concrete form: digests are those of the text."""
        self._written = written
        return self.as_read(written.root, written.text)

    @property
    def written(self) -> Suite:
        """The suite as its file says it: the same, unless its task is one of lm-eval's."""
        return self._written or self

    @property
    def root(self) -> Path:
        return self._root

    @property
    def text(self) -> str:
        return self._text

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_kind(cls, content: Any) -> Any:
        """Fill in what a suite leaves out and its kind of task tells: metrics, that of contrasts, that of training."""
        return with_defaults(content) if isinstance(content, Mapping) else content

    @field_validator("seeds", mode="before")
    @classmethod
    def _are_a_list(cls, seeds: Any) -> Any:
        if not isinstance(seeds, list | tuple):
            raise ValueError(f"expected a list of whole numbers, such as [0, 1, 2], got {seeds!r}")
        return seeds

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"seeds must differ from each other, got {list(seeds)}")
        return seeds

    @model_serializer(mode="wrap")
    def _as_in_the_file(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write keys as the file has them; of a judged metric only what it says, since its options are many."""
        content: dict[str, Any] = serialize(self)
        if "listed_metrics" in content:
            content["metrics"] = content.pop("listed_metrics")
        return content

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics to report, in the order of the file."""
        return tuple(names_of(self.listed_metrics))

    @cached_property
    def judged(self) -> dict[str, JudgedMetric]:
        """Name ─▶ metric, of those that a judge scores."""
        return {name: spec for item in self.listed_metrics if not isinstance(item, str) for name, spec in item.items()}

    @model_validator(mode="after")
    def _compares_with_one_set_of_answers(self) -> Suite:
        for name, metric in self.judged.items():
            if metric.against in self.baselines and self.is_random(metric.against):
                raise ValueError(
                    f"metrics.{name}.against: {metric.against!r} answers differently with each seed; expected a "
                    "baseline with one set of answers"
                )
        return self

    @model_validator(mode="after")
    def _has_dev_to_answer(self) -> Suite:
        split, data = self.task.split, self.task.data
        if self.evaluation.answer_dev and not (split.dev if split else data.dev):
            raise ValueError("evaluation.answer_dev: expected a split dev to answer, the suite has none")
        return self

    @model_validator(mode="after")
    def _generates_as_it_can(self) -> Suite:
        self.task.check_generation(self.evaluation.generate_with)
        return self

    @model_validator(mode="after")
    def _splits_what_can_be_split(self) -> Suite:
        precision = self.evaluation.precision
        for name, spec in self.baselines.items():
            together = spec.training if isinstance(spec, TrainedSpec) else None
            is_quantised = precision in ("int8", "int4") and isinstance(spec, Peft)
            if together is None or together.strategy == "ddp":
                continue
            if is_quantised or (precision == "fp16" and together.strategy == "fsdp"):
                raise ValueError(
                    f"baselines.{name}.training.strategy: expected ddp with the precision {precision}, got "
                    f"{together.strategy}; choose it, or another `evaluation.precision`"
                )
        return self

    @cached_property
    def digest(self) -> str:
        """Over all that the file says, wherever it lies, except what may change after the runs: `monitor`, `traces`.

        Where the parts of a model lie is left out, too: it changes no answer, and machines differ in it.
        `task.data.encoding_errors` is left out too: what was read stands in the digest of the data, and suites that
        needed no such key before keep their digest when they get it. So is the version of the form: the same suite in
        another form is the same suite.
        """
        return digest_of(
            self.written.model_dump(
                mode="json",
                exclude={
                    "monitor": True,
                    "traces": True,
                    KEY: True,
                    "task": {"data": {"encoding_errors": True}},
                    "evaluation": dict.fromkeys(PLACEMENT_KEYS, True),
                },
            )
        )

    @cached_property
    def monitor_digest(self) -> str | None:
        """Over the rules of what goes on after a promotion; None where the suite has none."""
        return None if self.monitor is None else digest_of(self.monitor.model_dump(mode="json"))

    @cached_property
    def matrix_digest(self) -> str:
        """Over the rules of the decision: matrix, gates and seeds."""
        return digest_of(self.written.model_dump(mode="json", include={"matrix", "gates", "seeds"}))

    def of_kind(self, kind: str | None) -> tuple[str, ...]:
        """Names of the baselines of one kind, or of all."""
        return tuple(name for name, spec in self.baselines.items() if kind in (None, spec.kind))

    def is_optional(self, name: str) -> bool:
        """Tell whether a baseline may be left out where it does not exist yet."""
        spec = self.baselines[name]
        return isinstance(spec, Production) and spec.optional

    def is_random(self, name: str) -> bool:
        """Tell whether a baseline runs once a seed: by its kind or its options, another seed gives other answers."""
        spec = self.baselines[name]
        if isinstance(spec, Trivial) and not self.task.trivial_is_random:
            return False
        return spec.is_random or (self.task.is_random and not isinstance(spec, Trivial | Human | External | Recorded))

    def base_model(self, spec: TrainedSpec | ProgramSpec | ReadyAdapter) -> Asset:
        """Find the model that a fine-tune starts from, or that an adapter belongs to."""
        base = self.baselines[spec.base]
        assert isinstance(base, Pretrained)  # `suite.reading` has checked it
        return base.model
