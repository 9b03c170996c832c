"""Baselines of a suite ─▶ rungs: what will be evaluated, known by its signature before anything heavy is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mlbaseline import metrics, suite
from mlbaseline.assets import FetchedAsset
from mlbaseline.errors import DataError
from mlbaseline.models.annotators import Annotators, read_labels
from mlbaseline.models.heuristic import Heuristic
from mlbaseline.models.human import ExpectedAnnotator
from mlbaseline.models.recorded import AnswersBySeed, RecordedAnswers, check_seeds, read_answers
from mlbaseline.models.trivial import Trivial, is_deterministic
from mlbaseline.records import UNKNOWN, Model, Scalar, Signature, TaskData, Trained, digest_of
from mlbaseline.suite import Asset, BaselineSpec, External, Recorded, Split, Suite, TrainedSpec
from mlbaseline.tasks import LoadedTask
from mlbaseline.tasks.prompting import CHOICE_DELIMITER, Prompting, few_shot_prefix, placeholders
from mlbaseline.tasks.reading import read_table

Fetch = Callable[[Asset], FetchedAsset]


@dataclass(frozen=True)
class Opened:
    """A rung ready to answer. trained: what its training left behind, None for rungs that are not trained.

    figures: what is known of the rung beside its metrics, by the parts of the figure's name.
    """

    model: Model
    trained: Trained | None = None
    figures: Mapping[tuple[str, ...], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Rung:
    """One baseline with one seed; seed None where nothing is random.

    params: `baseline.*` and `evaluation.*` of its run. open: loads, and trains or reuses the finished training; None
    for a published score, which answers nothing.
    recorded: its answers were given elsewhere, so that nothing of this machine's speed, memory or price is theirs.
    """

    baseline: str
    kind: str
    seed: int | None
    signature: Signature
    params: Mapping[str, Scalar]
    open: Callable[[], Opened] | None
    recorded: bool = False

    @property
    def name(self) -> str:
        return self.baseline if self.seed is None else f"{self.baseline} (seed {self.seed})"


@dataclass(frozen=True)
class _Site:
    """What every constructor of rungs may look at."""

    suite: Suite
    task: LoadedTask
    fetch: Fetch
    split: Split

    @property
    def data(self) -> TaskData:
        return self.task.splits[self.split]

    def training_data(self, name: str) -> TaskData:
        if "train" not in self.task.splits:
            raise DataError(
                f"baselines.{name}: needs the split train, which the suite does not have; add it to `split`"
            )
        return self.task.splits["train"]


def build_rungs(
    suite: Suite, task: LoadedTask, name: str, fetch: Fetch, seeds: Sequence[int], *, split: Split = "test"
) -> list[Rung]:
    """The rungs of one baseline: one per seed, or a single one where the seed has no part in it.

    Fetches (and hashes) the assets, so that the signature knows them by content; loads none. Raises AssetError,
    DataError.
    """
    spec = suite.baselines[name]
    site = _Site(suite, task, fetch, split)
    if isinstance(spec, External):
        fields = {f"published.{key}": value for key, value in spec.model_dump(mode="json").items()}
        return [Rung(name, spec.kind, None, Signature(fields), describe_baseline(suite, name), None)]
    if isinstance(spec, Recorded):
        asset = fetch(spec.recorded.asset)
        answers = read_answers(read_table(asset.path, None).rows, site.data, where=f"baselines.{name}")
        return build_recorded_rungs(suite, site.data, name, answers, sha256=asset.sha256, seeds=seeds)
    return [_RUNGS[spec.kind](site, name, spec, seed) for seed in (seeds if _is_random(spec) else (None,))]


def build_recorded_rungs(
    suite: Suite, data: TaskData, name: str, answers: AnswersBySeed, *, sha256: str, seeds: Sequence[int]
) -> list[Rung]:
    """The rungs of a baseline whose answers were given elsewhere: one per seed that they name, of those in `seeds`.

    sha256: of the file that they come from. Raises DataError for a seed that the suite does not have, and for a
    fine-tune without one.
    """
    spec = suite.baselines[name]
    needs_seed = spec.kind in ("peft", "full") or _is_random(spec)
    check_seeds(answers, suite.seeds, needs_seed=needs_seed, where=f"baselines.{name}")
    models = {seed: RecordedAnswers(spec.kind, given, sha256) for seed, given in answers.items()}
    return [
        replace(
            _rung(suite, data, name, spec, seed, fields=model.signature_fields(), open_=partial(Opened, model)),
            recorded=True,
        )
        for seed, model in models.items()
        if seed is None or seed in seeds
    ]


def describe_baseline(suite: Suite, name: str) -> dict[str, Scalar]:
    """All options of a baseline, those left out too, and of the model that a fine-tune starts from, as `baseline.*`."""
    spec = suite.baselines[name]
    params = dict(_flat("baseline", spec.model_dump(mode="json")))
    if isinstance(spec, TrainedSpec):
        base = suite.base_model(spec).model_dump(mode="json")
        params |= dict(_flat("baseline.base_model", base))
    return params


def _is_random(spec: BaselineSpec) -> bool:
    match spec:
        case suite.Trivial():
            return not is_deterministic(spec)
        case suite.Pretrained():
            return spec.shots is not None and spec.shots.sample == "seed"
        case suite.Peft() | suite.Full():
            return True
        case suite.Human() | suite.Recorded() | suite.External():
            return False


def _trivial(site: _Site, name: str, spec: suite.Trivial, seed: int | None) -> Rung:
    task, fields = site.suite.task, placeholders(site.suite.task.prompt)
    model: Trivial | Heuristic
    if spec.function is not None:
        where = f"baselines.{name}.function"
        model = Heuristic(spec.function, root=site.suite.root, labels=task.labels, fields=fields, where=where)
    else:
        model = Trivial(spec, labels=task.labels, train=site.task.splits.get("train"), seed=seed, fields=fields)
    return _rung(site.suite, site.data, name, spec, seed, fields=model.signature_fields(), open_=lambda: Opened(model))


def _human(site: _Site, name: str, spec: suite.Human, seed: int | None) -> Rung:
    if spec.labels is not None:
        asset = site.fetch(Asset(source=spec.labels))
        rows = read_table(asset.path, None).rows
        annotators = Annotators(read_labels(rows, site.data, where=f"baselines.{name}"), site.data.labels, asset.sha256)
        opened = Opened(annotators, figures=annotators.figures(site.data))
        return _rung(
            site.suite, site.data, name, spec, seed, fields=annotators.signature_fields(), open_=lambda: opened
        )
    assert spec.agreement is not None  # the suite has one of the two
    model = ExpectedAnnotator(spec.agreement)
    return _rung(site.suite, site.data, name, spec, seed, fields=model.signature_fields(), open_=lambda: Opened(model))


def _pretrained(site: _Site, name: str, spec: suite.Pretrained, seed: int | None) -> Rung:
    asset = site.fetch(spec.model)
    template = site.suite.task.prompt
    prefix = few_shot_prefix(template, spec.shots, site.training_data(name), seed or 0) if spec.shots else ""
    prompting = Prompting(template, prefix)
    precision, device = _resolved(site)

    def open_() -> Opened:
        from mlbaseline.models.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(asset.path, precision=precision, device=device)
        return Opened(_scorer(site, name, seed, checkpoint, prompting))

    fields = {
        "model.kind": spec.kind,
        "model.sha256": asset.sha256,
        **_prompt_fields(prompting, spec.shots.k if spec.shots else 0),
        **_engine_fields(site),
    }
    return _rung(site.suite, site.data, name, spec, seed, fields=fields, open_=open_)


def _trained(site: _Site, name: str, spec: TrainedSpec, seed: int | None) -> Rung:
    from mlbaseline.engine.recipe import TrainingJob
    from mlbaseline.models.checkpoint import load_checkpoint

    assert seed is not None
    base = site.suite.base_model(spec)
    prompting = Prompting(site.suite.task.prompt)
    precision, device = _resolved(site)
    job = TrainingJob(
        spec=spec,
        seed=seed,
        base=site.fetch(base),
        base_source=base.source,
        train=site.training_data(name),
        dev=site.task.splits.get("dev"),
        prompting=prompting,
        evaluation=site.suite.evaluation,
        precision=precision,
        device=device,
    )

    def open_() -> Opened:
        from mlbaseline.engine.training import train

        trained = train(job, description=_describe(name, seed))
        checkpoint = load_checkpoint(trained.folder, base=job.base.path, precision=precision, device=device)
        return Opened(_scorer(site, name, seed, checkpoint, prompting), trained)

    fields = {
        "model.kind": spec.kind,
        "model.sha256": job.base.sha256,
        **job.signature_fields(),
        **_prompt_fields(prompting, 0),
        **_engine_fields(site),
    }
    return _rung(site.suite, site.data, name, spec, seed, fields=fields, open_=open_)


_RUNGS: dict[str, Callable[[_Site, str, Any, int | None], Rung]] = {
    "trivial": _trivial,
    "pretrained": _pretrained,
    "peft": _trained,
    "full": _trained,
    "human": _human,
}


def _rung(
    suite: Suite,
    data: TaskData,
    name: str,
    spec: BaselineSpec,
    seed: int | None,
    *,
    fields: Mapping[str, Scalar],
    open_: Callable[[], Opened],
) -> Rung:
    signature = Signature(
        {
            "data.digest": data.digest,
            "data.split": data.split,
            "choices.labels": digest_of(data.labels),
            "metric.version": metrics.VERSION,
            "metric.names": ",".join(suite.metrics),
            **fields,
            "seed": seed,
        }
    )
    params = describe_baseline(suite, name)
    if fields.get("engine.precision", UNKNOWN) != UNKNOWN:
        params |= dict(_flat("evaluation", suite.evaluation.model_dump(mode="json")))
        params |= {"evaluation.resolved_precision": fields["engine.precision"]}
    return Rung(name, spec.kind, seed, signature, params, open_)


def _prompt_fields(prompting: Prompting, shots: int) -> dict[str, Scalar]:
    return {
        "prompt.template": prompting.template,
        "prompt.choice_delimiter": CHOICE_DELIMITER,
        "prompt.chat_template": None,
        "prompt.shots": shots,
        "prompt.prefix_sha256": hashlib.sha256(prompting.prefix.encode("utf-8", "surrogatepass")).hexdigest(),
    }


def _engine_fields(site: _Site) -> dict[str, Scalar]:
    from mlbaseline.engine.scoring import ENGINE_VERSION

    precision, device = _resolved(site)
    return {
        "engine.version": ENGINE_VERSION,
        "engine.batch_tokens": site.suite.evaluation.batch_tokens,
        "engine.max_length": site.suite.evaluation.max_length,
        "engine.precision": precision,
        "engine.device": device,
    }


def _resolved(site: _Site) -> tuple[Any, str]:
    from mlbaseline.models.checkpoint import default_device, resolve_precision

    device = default_device()
    return resolve_precision(site.suite.evaluation.precision, device), device


def _scorer(site: _Site, name: str, seed: int | None, checkpoint: Any, prompting: Prompting) -> Model:
    from mlbaseline.engine.scoring import ChoiceScorer

    return ChoiceScorer(
        checkpoint, prompting, site.data.labels, site.suite.evaluation, description=_describe(name, seed)
    )


def _describe(name: str, seed: int | None) -> str:
    return name if seed is None else f"{name} · seed {seed}"


def _flat(prefix: str, content: Mapping[str, Any]) -> Iterable[tuple[str, Scalar]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}.{key}", value)
        else:
            yield f"{prefix}.{key}", ",".join(map(str, value)) if isinstance(value, list | tuple) else value
