"""One baseline with one seed, known by its signature before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from mlbaseline import metrics
from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.inference.chat_prompting import make_prompting
from mlbaseline.engine.rungs.shared_checkpoint import LastLoaded
from mlbaseline.errors import DataError
from mlbaseline.metrics.text import K
from mlbaseline.models.quantization import packages_of
from mlbaseline.records import UNKNOWN, Example, Model, Scalar, Signature, TaskData, Trained, Weights, digest_of
from mlbaseline.suite import Asset, ChoiceTask, Evaluation, GenerateTask, ReadyAdapter, Split, Suite, Task, TrainedSpec
from mlbaseline.tasks import LoadedTask, harness_of
from mlbaseline.tasks.prompting import Prompting, Teaches

Fetch = Callable[[Asset], FetchedAsset]


@dataclass(frozen=True)
class Question:
    """What a model of somebody else's has to know of a task. columns: fields of an example that it may be shown."""

    task: Task
    prompting: Prompting
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    evaluation: Evaluation


class Registered(Protocol):
    """A model on the tracking server, found and not yet loaded."""

    @property
    def facts(self) -> Mapping[str, Scalar]:
        """Which one it is, as `production.*` parameters of its run."""
        ...

    @property
    def is_seeded(self) -> bool:
        """Whether it draws by a seed of its own, so that every run is the same."""
        ...

    def signature_fields(self, question: Question) -> Mapping[str, Scalar]: ...

    def open(self, question: Question) -> Model:
        """Raises DataError where it wants columns that it may not be shown, TrackingError where it cannot be loaded."""
        ...


FindRegistered = Callable[[str], Registered | None]
"""`models:/` or `runs:/` reference ─▶ the model, None where there is none."""


@dataclass(frozen=True)
class Opened:
    """A rung ready to answer.

    weights: its own, so that it can be promoted. trained: what its training left behind, None where it was not trained
    here. shots: solved examples shown to a model without weights of its own, so that its prompt can be promoted; None
    for whatever cannot be.
    figures: what is known of the rung beside its metrics, by the parts of the figure's name.
    """

    model: Model
    weights: Weights | None = None
    trained: Trained | None = None
    shots: tuple[Example, ...] | None = None
    figures: Mapping[tuple[str, ...], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Rung:
    """One baseline with one seed; seed None where nothing is random.

    params: `baseline.*` and `evaluation.*` of its run. open: loads, and trains or reuses the finished training; None
    for a published score, which answers nothing.
    prepare: the training, a part of which the seeds of a baseline share if all are trained before any of them answers;
    opening does it where it was left out. None where nothing is trained.
    elsewhere: where its answers are computed if not on this machine, "unknown" or "remote": then nothing of this
    machine's speed, memory or price is theirs.
    kept: file that keeps its answers until its run is complete; None where answering again costs nothing but time.
    """

    baseline: str
    kind: str
    seed: int | None
    signature: Signature
    params: Mapping[str, Scalar]
    open: Callable[[], Opened] | None
    prepare: Callable[[], object] | None = None
    elsewhere: str | None = None
    kept: Path | None = None

    @property
    def name(self) -> str:
        return self.baseline if self.seed is None else f"{self.baseline} (seed {self.seed})"


def progress_name(name: str, seed: int | None) -> str:
    """How a progress bar calls a rung."""
    return name if seed is None else f"{name} · seed {seed}"


@dataclass(frozen=True)
class Site:
    """What every constructor of rungs may look at.

    fresh: compute again what was computed before. loaded: a checkpoint that rungs share. processes: that answer
    together, where a model of ours does.
    """

    suite: Suite
    task: LoadedTask
    fetch: Fetch
    split: Split
    find_registered: FindRegistered | None = None
    fresh: bool = False
    loaded: LastLoaded = field(default_factory=LastLoaded)
    processes: int = 1

    @property
    def data(self) -> TaskData:
        return self.task.splits[self.split]

    def rung(
        self,
        name: str,
        seed: int | None,
        *,
        fields: Mapping[str, Scalar],
        open_: Callable[[], Opened],
        shares: bool = False,
        processes: int = 1,
    ) -> Rung:
        """shares: whether `open_` asks for the shared checkpoint; it is dropped before another rung opens."""

        def open_alone() -> Opened:
            self.loaded.drop()
            return open_()

        opens = open_ if shares else open_alone
        return make_rung(self.suite, self.data, name, seed, fields=fields, open_=opens, processes=processes)

    def prompting(self, model: Path) -> Teaches:
        """How a model is asked without examples. model: whose chat template is used.

        Raises AssetError where it has none and the task asks for one.
        """
        harness = harness_of(self.suite)
        return harness.prompting(0, None) if harness else make_prompting(self.suite.task, model)

    def training_data(self, name: str) -> TaskData:
        if "train" not in self.task.splits:
            raise DataError(
                f"baselines.{name}: needs the split train, which the suite does not have; add it to `split`"
            )
        return self.task.splits["train"]


def make_rung(
    suite: Suite,
    data: TaskData,
    name: str,
    seed: int | None,
    *,
    fields: Mapping[str, Scalar],
    open_: Callable[[], Opened],
    processes: int = 1,
) -> Rung:
    """A rung with what every signature says of the data and the metrics. fields: what its kind adds."""
    signature = Signature(
        {
            "data.digest": data.digest,
            "data.split": data.split,
            "choices.labels": digest_of(data.labels),
            "metric.version": metrics.VERSION,
            "metric.names": ",".join(suite.metrics),
            **(harness.signature_fields("metric") if (harness := harness_of(suite)) else {}),
            **_task_fields(suite.task),
            **fields,
            "seed": seed,
        }
    )
    params = describe_baseline(suite, name) | {"distributed.processes": processes}
    if fields.get("engine.precision", UNKNOWN) != UNKNOWN:
        params |= dict(flat("evaluation", suite.evaluation.model_dump(mode="json")))
        params |= {"evaluation.resolved_precision": fields["engine.precision"]}
        if "engine.compute_precision" in fields:
            params |= {"evaluation.compute_precision": fields["engine.compute_precision"]}
        packages = packages_of(fields["engine.precision"])
        params |= {f"software.{package}": metadata.version(package) for package in packages}
    return Rung(name, suite.baselines[name].kind, seed, signature, params, open_)


def _task_fields(task: Task) -> dict[str, Scalar]:
    """What of the task alone is part of every rung's scores, however it answers."""
    if isinstance(task, GenerateTask):
        return {K: task.k}
    if isinstance(task, ChoiceTask) and task.normalisation != "none":
        return {"choices.normalisation": task.normalisation}
    return {}


def describe_baseline(suite: Suite, name: str) -> dict[str, Scalar]:
    """All options of a baseline, those left out too, and of the model that a fine-tune starts from, as `baseline.*`."""
    spec = suite.baselines[name]
    params = dict(flat("baseline", spec.distinguishing()))
    if isinstance(spec, TrainedSpec | ReadyAdapter):
        base = suite.base_model(spec).model_dump(mode="json")
        params |= dict(flat("baseline.base_model", base))
    return params


def flat(prefix: str, content: Mapping[str, Any]) -> Iterable[tuple[str, Scalar]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(f"{prefix}.{key}", value)
        else:
            yield f"{prefix}.{key}", ",".join(map(str, value)) if isinstance(value, list | tuple) else value
