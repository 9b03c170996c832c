"""Rungs that are fine-tunes: trained here, or ready from earlier."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mlbaseline.assets import FetchedAsset, sha256_of
from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.engine.inference.timing import evenly_spaced
from mlbaseline.engine.randomness import RandomSource
from mlbaseline.engine.rungs.language_model import LanguageModel, answering_of, build_model
from mlbaseline.engine.rungs.rung import OpenedRung, Rung, RungContext
from mlbaseline.errors import AssetError
from mlbaseline.model_files import weights_sha256
from mlbaseline.models.checkpoints.quantization import QUANTISED
from mlbaseline.progress import Stage
from mlbaseline.records import Model, Scalar, TaskData, Trained, Weights
from mlbaseline.suite import OtherPeft, Peft, ReadyAdapter, ReadyModel, ReadySpec, TrainedSpec
from mlbaseline.tasks import kind_of_suite
from mlbaseline.tasks.prompting import TrainingPromptFormat

if TYPE_CHECKING:
    from mlbaseline.engine.training.job import TrainingJob


def trained_rungs(context: RungContext, name: str, spec: TrainedSpec, seeds: Sequence[int]) -> list[Rung]:
    """Make the rungs of a model that is fine-tuned here, one per seed."""
    if isinstance(spec, OtherPeft):
        from mlbaseline.engine.training.peft_methods import check_method

        check_method(spec, suite_name=context.suite.name, baseline=name)
    return [_trained(context, name, training_job(context, name, spec, seed)) for seed in seeds]


def training_job(context: RungContext, name: str, spec: TrainedSpec, seed: int) -> TrainingJob:
    """Describe the training of one seed of a rung. Raises as `build_rungs`."""
    from mlbaseline.engine.training.job import TrainingJob

    base = context.suite.base_model(spec)
    asset = context.fetch(base)
    kind_of_suite(context.suite).check_trainable()
    answering = answering_of(context, seed)
    return TrainingJob(
        task=context.suite.task,
        spec=spec,
        seed=seed,
        base=asset,
        base_source=base.source,
        train=context.training_data(name),
        dev=context.task.splits.get("dev"),
        prompting=context.prompting(asset.path),
        evaluation=context.suite.evaluation,
        # All weights are trained as they are, and quantised to answer; an adapter learns on the quantised base.
        precision=answering.precision if isinstance(spec, Peft) else answering.compute,
        device=answering.device,
        initialisation_seed=context.source_seeds.get(RandomSource.INITIALISATION),
        order_seed=context.source_seeds.get(RandomSource.ORDER),
    )


def _trained(context: RungContext, name: str, job: TrainingJob) -> Rung:
    answering = answering_of(context, job.seed)

    def prepare() -> Trained:
        from mlbaseline.engine.training.train import train

        context.shared_checkpoint.drop()
        return train(job, description=Stage(name, job.seed, "training"))

    def open_() -> OpenedRung:
        from mlbaseline.engine.training.shared_base import release_base

        trained = prepare()
        release_base()  # answering has its memory to itself
        base = job.base.path if isinstance(job.spec, Peft) else None
        model = language_model_of(trained.weights, job.prompting, base)
        opened = open_finetune(helped_by_copies(context, job.key, trained, base), name, answering, model)
        return replace(opened, weights=trained.weights, trained=trained)

    fields = {"model.sha256": job.base.sha256, **job.signature_fields(), **job.prompting.signature_fields()}
    rung = make_finetune_rung(context, name, answering, base=job.base, fields=fields, open_=open_)
    return replace(rung, prepare=prepare, params={**rung.params, **_distribution(job.spec)})


def helped_by_copies(context: RungContext, key: str, trained: Trained, base: Path | None) -> RungContext:
    """Let helpers have a copy of an adapter that was trained here. Whole weights are too large: they answer alone.

    Args:
        context: The suite, its data, and what starts helpers.
        key: Of the training in the cache.
        trained: The finished training.
        base: Of an adapter; None for whole weights.
    """
    from mlbaseline.engine.training.cached import PackedTraining

    start = context.start_helpers
    if start is None or base is None:
        return replace(context, start_helpers=None)
    return replace(context, start_helpers=partial(start, PackedTraining.of(key, trained)))


def _distribution(spec: TrainedSpec) -> dict[str, Scalar]:
    """Return the parameters `distributed.*` of a training: who has which part of the model, and where it is kept."""
    together = spec.training
    return {
        "distributed.training_processes": together.processes if together else 1,
        "distributed.strategy": together.strategy if together else "none",
        "distributed.sharding": together.sharded if together else "none",
        "distributed.offload": together is not None and together.offload,
        "distributed.activation_checkpointing": spec.gradient_checkpointing,
    }


def ready_rungs(context: RungContext, name: str, spec: ReadySpec, seeds: Sequence[int]) -> list[Rung]:
    """Make the rungs of a fine-tune from earlier, one per seed where texts are drawn."""
    each = seeds if context.suite.is_random(name) else (None,)
    if isinstance(spec, ReadyAdapter):
        return [_ready_adapter(context, name, spec, seed) for seed in each]
    return [_ready_model(context, name, spec, seed) for seed in each]


def _ready_model(context: RungContext, name: str, spec: ReadyModel, seed: int | None) -> Rung:
    model = context.fetch(spec.model)
    prompting, answering = context.prompting(model.path), answering_of(context, seed)

    def open_() -> OpenedRung:
        from mlbaseline.models.checkpoints.checkpoint import model_folder

        folder = model_folder(model.path)
        weights = Weights(folder, weights_sha256(folder))
        return replace(open_finetune(context, name, answering, language_model_of(weights, prompting)), weights=weights)

    fields = {"model.sha256": model.sha256, **prompting.signature_fields()}
    return make_finetune_rung(context, name, answering, base=model, fields=fields, open_=open_)


def _ready_adapter(context: RungContext, name: str, spec: ReadyAdapter, seed: int | None) -> Rung:
    source = context.suite.base_model(spec)
    adapter, base = context.fetch(spec.adapter), context.fetch(source)
    _require_base(adapter.path, base, source.source, f"baselines.{name}")
    prompting, answering = context.prompting(base.path), answering_of(context, seed)

    def open_() -> OpenedRung:
        weights = Weights(adapter.path, weights_sha256(adapter.path))
        return replace(
            open_finetune(context, name, answering, language_model_of(weights, prompting, base.path)), weights=weights
        )

    own = {"model.sha256": base.sha256, "model.adapter_sha256": adapter.sha256}
    fields = {**own, **prompting.signature_fields()}
    return make_finetune_rung(context, name, answering, base=base, fields=fields, open_=open_)


def make_finetune_rung(
    context: RungContext,
    name: str,
    answering: AnsweringSpec,
    *,
    base: FetchedAsset,
    fields: Mapping[str, Scalar],
    open_: Callable[[], OpenedRung],
) -> Rung:
    """Make the rung of a fine-tune. base: the model whose tokenizer reads the prompts."""
    fields = {
        "model.kind": context.suite.baselines[name].kind,
        **fields,
        **answering.signature_fields(base.path),
    }
    return context.rung(name, answering.seed, fields=fields, open_=open_, uses_processes=True)


def language_model_of(weights: Weights, prompting: TrainingPromptFormat, base: Path | None = None) -> LanguageModel:
    """Describe the fine-tuned model by its files.

    Args:
        weights: Of the adapter, or of the whole model.
        prompting: How it is asked.
        base: What the adapter is applied to; None for a whole model.
    """
    # All files, not the weights alone: an adapter's configuration decides as much.
    sha256 = " on ".join(sha256_of(path) for path in (weights.folder, base) if path is not None)
    return LanguageModel(weights.folder, sha256, prompting, base)


def open_finetune(context: RungContext, name: str, answering: AnsweringSpec, model: LanguageModel) -> OpenedRung:
    """Load a fine-tune. An adapter is first timed beside its base, where the rung itself will answer with it merged."""
    from mlbaseline.engine.inference.execution import Execution

    load, unmerged_s = answering.loader(model.path, model.base), None
    evaluation = answering.evaluation
    can_be_unmerged = (
        answering.precision not in QUANTISED and evaluation.generate_with == "engine" and not answering.placement
    )
    if model.base is not None and can_be_unmerged and evaluation.latency_sample:
        unmerged = load(merge=False)
        timed = answering.build(
            unmerged, model.prompting, Execution(description=Stage(name, answering.seed, "timing the unmerged adapter"))
        )
        unmerged_s = _latency_p50_s(timed, context.data, evaluation.latency_sample)
        del unmerged, timed
        gc.collect()
    checkpoint = load()
    is_merged = model.base is not None and not hasattr(checkpoint.model, "get_base_model")
    figures: dict[tuple[str, ...], float] = {}
    if is_merged and unmerged_s is not None:
        figures["latency_unmerged_p50_s",] = unmerged_s
    answers = build_model(context, name, answering, model, checkpoint)
    return OpenedRung(answers, figures=figures, is_in_other_process=answering.is_by_vllm)


def _latency_p50_s(model: Model, data: TaskData, sample: int) -> float | None:
    """Return the median latency of `sample` queries, evenly spread; None where each of them failed."""
    ordered = sorted(data.examples, key=lambda example: example.id)
    chosen = [ordered[position] for position in evenly_spaced(len(ordered), sample)]
    times_s = [answer.latency_s for answer in model.answer(chosen) if answer.latency_s is not None]
    return median(times_s) if times_s else None


_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")


def _require_base(adapter: Path, base: FetchedAsset, source: str, where: str) -> None:
    """Raise AssetError for a folder without adapter, and for an adapter that names another model than `base`."""
    from mlbaseline.models.checkpoints.adapter_files import named_base, recorded_base

    named, sha256 = named_base(adapter), recorded_base(adapter)
    ours, theirs = source, named or ""
    if sha256 is not None:
        ours, theirs = f"{ours} ({base.sha256[:12]}…)", f"{theirs} ({sha256[:12]}…)"
        is_other = sha256 != base.sha256
    else:  # names can be compared only where both are a hub's
        is_other = source.startswith("hf://") and bool(_HUB_NAME.match(theirs))
        is_other = is_other and source.removeprefix("hf://").partition("@")[0] != theirs
    if is_other:
        raise AssetError(
            f"{where}: {adapter} is an adapter for another base: expected {ours}, it was trained on {theirs}. "
            "Name that model as a pretrained baseline, and the baseline as `base`."
        )
