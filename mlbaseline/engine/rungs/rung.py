"""One baseline with one seed, known by its signature before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlbaseline import metrics
from mlbaseline.engine.judging.judges import FindScorer, judge_fields
from mlbaseline.engine.randomness import RandomSource
from mlbaseline.engine.rungs.shared_checkpoint import SharedCheckpoint
from mlbaseline.errors import DataError
from mlbaseline.models.checkpoints.quantization import packages_of
from mlbaseline.models.checkpoints.tokenizer import ChatTemplate
from mlbaseline.nested import flattened
from mlbaseline.records import UNKNOWN, Example, Model, Scalar, Signature, TaskData, Trained, Weights, digest_of
from mlbaseline.suite import (
    PLACEMENT_KEYS,
    Evaluation,
    Production,
    ProgramSpec,
    ReadyAdapter,
    Split,
    Suite,
    Task,
    TrainedSpec,
)
from mlbaseline.tasks import Fetch, LoadedTask, kind_of_suite
from mlbaseline.tasks.prompting import Prompting, TrainingPromptFormat

if TYPE_CHECKING:
    from mlbaseline.engine.inference.execution import SharedBatches
    from mlbaseline.engine.inference.joint_model import StartHelpers


@dataclass(frozen=True)
class TaskDescription:
    """What a registered model has to know of a task.

    columns: fields of an example that it may be shown.
    """

    task: Task
    prompting: Prompting
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    evaluation: Evaluation


class RegisteredModel(Protocol):
    """A model on the tracking server that is not loaded yet."""

    @property
    def facts(self) -> Mapping[str, Scalar]:
        """Which one it is, as `production.*` parameters of its run."""
        ...

    @property
    def is_seeded(self) -> bool:
        """Whether it draws by a seed of its own, so that every run is the same."""
        ...

    def signature_fields(self, task: TaskDescription) -> Mapping[str, Scalar]:
        """Return what its answers depend on."""
        ...

    @property
    def is_in_other_process(self) -> bool:
        """Whether it answers in another process, whose answers are kept as they come."""
        ...

    def open(self, task: TaskDescription, answers: Path | None = None) -> Model:
        """Load it.

        Args:
            task: What it answers.
            answers: File that keeps the answers of a model that is elsewhere.

        Raises:
            DataError: It needs columns that it may not be shown.
            TrackingError: It cannot be loaded.
        """
        ...


class ProgramRun(Protocol):
    """The run of a program that trains, nested under that of its rung."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables by which the program's own logging finds the run."""
        ...

    def keep(self, file: Path) -> None:
        """Keep a file of the program's in the run."""
        ...


OpenProgramRun = Callable[[], AbstractContextManager[ProgramRun]]
"""Opens the run of a program for the length of a block."""
FindRegistered = Callable[[Production], RegisteredModel | None]
"""A baseline with a `uri` ─▶ the model that it stands for now, None where there is none."""


@dataclass(frozen=True)
class OpenedRung:
    """A rung that is loaded and can answer.

    weights: its own, so that it can be promoted. trained: the finished training, None where it was not trained
    here. shots: solved examples shown to a model without weights of its own, so that its prompt can be promoted; None
    where nothing can be promoted.
    figures: what is known of the rung beside its metrics, by the parts of the figure's name.
    is_in_other_process: it answers in another process, so that the memory of this one says nothing about it.
    """

    model: Model
    weights: Weights | None = None
    trained: Trained | None = None
    shots: tuple[Example, ...] | None = None
    figures: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    is_in_other_process: bool = False


@dataclass(frozen=True)
class Rung:
    """One baseline with one seed; seed None where nothing is random.

    params: `baseline.*` and `evaluation.*` of its run. open: loads, and trains or reuses the finished training; None
    for a published score, which answers nothing.
    prepare: the training, a part of which the seeds of a baseline share if all are trained before any of them answers;
    opening does it where it was left out. None where nothing is trained.
    train_by_program: as `prepare`, by a program of the user's, whose own run is opened by what it is given.
    external_device: where its answers are computed if not on this machine, "unknown" or "remote": then this machine's
    speed, memory and price say nothing about it.
    answer_journal: file that holds its answers until its run is complete; None where answering again costs only time.
    """

    baseline: str
    kind: str
    seed: int | None
    signature: Signature
    params: Mapping[str, Scalar]
    open: Callable[[], OpenedRung] | None
    prepare: Callable[[], object] | None = None
    train_by_program: Callable[[OpenProgramRun], object] | None = None
    external_device: str | None = None
    answer_journal: Path | None = None

    @property
    def name(self) -> str:
        return self.baseline if self.seed is None else f"{self.baseline} (seed {self.seed})"


@dataclass(frozen=True)
class RungContext:
    """What the rungs of a suite are made from.

    Attributes:
        suite: Opened, so that its task can be evaluated.
        task: The examples of every split.
        fetch: Brings a model or a file to this machine.
        split: Whose examples are answered.
        find_registered: Finds a model on the tracking server; None where there is no connection to one.
        fresh: Whether cached results are computed again.
        shared_checkpoint: Held in memory for several rungs.
        find_scorer: Finds a scorer of MLflow that judges; None where there is no connection to a server.
        processes: Number of processes that answer together, where a model of ours does.
        keeps_results: Whether results are looked up in a cache and stored there.
        results_folder: Holds that cache; None for the one of this machine.
        shared: Batches of which this process computes a part, for one that asked for help; None: it computes all.
        start_helpers: Starts processes that compute a part of the batches for this one; None: it has no help.
        source_seeds: Sources of randomness with a seed of their own; all others have that of the rung.
    """

    suite: Suite
    task: LoadedTask
    fetch: Fetch
    split: Split = "test"
    find_registered: FindRegistered | None = None
    find_scorer: FindScorer | None = None
    fresh: bool = False
    shared_checkpoint: SharedCheckpoint = field(default_factory=SharedCheckpoint)
    processes: int = 1
    keeps_results: bool = True
    results_folder: Path | None = None
    shared: SharedBatches | None = None
    start_helpers: StartHelpers | None = None
    source_seeds: Mapping[RandomSource, int] = field(default_factory=dict)

    def evaluated_with(self, **options: int) -> RungContext:
        """Return the same with other options of the suite's `evaluation`."""
        changed = self.suite.evaluation.model_copy(update=options)
        return replace(self, suite=self.suite.model_copy(update={"evaluation": changed}))

    def seed_of(self, source: RandomSource, seed: int | None) -> int | None:
        """Return the seed of a source of randomness, where a rung has `seed`."""
        return self.source_seeds.get(source, seed)

    @property
    def data(self) -> TaskData:
        """The examples that are answered."""
        return self.task.splits[self.split]

    def prompting(self, model: Path) -> TrainingPromptFormat:
        """Return prompts without solved examples.

        Args:
            model: Whose chat template is used.

        Raises:
            AssetError: The task asks for a chat template and the model has none.
        """
        return kind_of_suite(self.suite).prompting(partial(ChatTemplate, model))

    def training_data(self, name: str) -> TaskData:
        """Return the split train. name: of the baseline that needs it. Raises DataError where there is none."""
        if "train" not in self.task.splits:
            raise DataError(
                f"baselines.{name}: needs the split train, which the suite does not have; add it to `split`"
            )
        return self.task.splits["train"]

    def rung(
        self,
        name: str,
        seed: int | None,
        *,
        fields: Mapping[str, Scalar],
        open_: Callable[[], OpenedRung],
        shares_checkpoint: bool = False,
        uses_processes: bool = False,
    ) -> Rung:
        """Make a rung, with what every signature says of the data and the metrics.

        Args:
            name: Of the baseline.
            seed: None where the baseline has no seeds.
            fields: Of the signature, for this kind of baseline.
            open_: Loads the rung.
            shares_checkpoint: Whether it takes the shared checkpoint, which is else dropped before.
            uses_processes: Whether several processes may answer.
        """

        def open_alone() -> OpenedRung:
            self.shared_checkpoint.drop()
            return open_()

        signature = Signature({**self._common_fields(), **fields, "seed": seed})
        params = describe_baseline(self.suite, name) | self._evaluation_params(fields)
        params |= {"distributed.processes": self.processes if uses_processes else 1}
        kind = self.suite.baselines[name].kind
        return Rung(name, kind, seed, signature, params, open_ if shares_checkpoint else open_alone)

    def _common_fields(self) -> dict[str, Scalar]:
        return {
            "data.digest": self.data.digest,
            "data.split": self.data.split,
            "choices.labels": digest_of(self.data.labels),
            "metric.version": metrics.VERSION,
            "metric.names": ",".join(self.suite.metrics),
            **kind_of_suite(self.suite).signature_fields(),
            **{
                field: value
                for name in self.suite.judged
                for field, value in judge_fields(self.suite, name, self.fetch, self.find_scorer).items()
            },
        }

    def _evaluation_params(self, fields: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Options of evaluation, where a model of ours answers."""
        precision = fields.get("engine.precision", UNKNOWN)
        if precision == UNKNOWN:
            return {}
        params = dict(flat("evaluation", self.suite.evaluation.model_dump(mode="json", exclude={*PLACEMENT_KEYS})))
        if "engine.device_map" in fields:
            params["evaluation.device_map"] = fields["engine.device_map"]
        params["evaluation.resolved_precision"] = precision
        if "engine.compute_precision" in fields:
            params["evaluation.compute_precision"] = fields["engine.compute_precision"]
        return params | {f"software.{package}": metadata.version(package) for package in packages_of(precision)}


def describe_baseline(suite: Suite, name: str) -> dict[str, Scalar]:
    """Return all options of a baseline, and of the model that a fine-tune starts from, as parameters `baseline.*`."""
    spec = suite.baselines[name]
    params = dict(flat("baseline", spec.distinguishing()))
    if isinstance(spec, TrainedSpec | ProgramSpec | ReadyAdapter):
        base = suite.base_model(spec).model_dump(mode="json")
        params |= dict(flat("baseline.base_model", base))
    return params


def flat(prefix: str, content: Mapping[str, Any]) -> Iterable[tuple[str, Scalar]]:
    """Yield the entries of nested mappings by dotted names; a list is written with commas."""
    for name, value in flattened(content, prefix=f"{prefix}."):
        yield name, ",".join(map(str, value)) if isinstance(value, list | tuple) else value
