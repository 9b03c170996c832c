"""Rungs that a causal language model of our own answers: as it comes, or fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlbaseline.engine.rungs.rung import Opened, Rung, Site, progress_name
from mlbaseline.records import Model, Scalar
from mlbaseline.suite import GenerateTask, PerplexityTask, Pretrained, Task, TrainedSpec
from mlbaseline.tasks import harness_of
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting


def pretrained_rungs(site: Site, name: str, spec: Pretrained, seeds: Sequence[int]) -> list[Rung]:
    return [_pretrained(site, name, spec, seed) for seed in (seeds if site.suite.is_random(name) else (None,))]


def _pretrained(site: Site, name: str, spec: Pretrained, seed: int | None) -> Rung:
    asset = site.fetch(spec.model)
    prompting = site.prompting(name, spec.shots, seed)
    precision, device = _resolved(site)

    def open_() -> Opened:
        from mlbaseline.models.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(asset.path, precision=precision, device=device)
        return Opened(_answering(site, name, seed, checkpoint, prompting))

    fields = {
        "model.kind": spec.kind,
        "model.sha256": asset.sha256,
        **prompting.signature_fields(),
        **_engine_fields(site),
    }
    return site.rung(name, seed, fields=fields, open_=open_)


def trained_rungs(site: Site, name: str, spec: TrainedSpec, seeds: Sequence[int]) -> list[Rung]:
    return [_trained(site, name, spec, seed) for seed in seeds]


def _trained(site: Site, name: str, spec: TrainedSpec, seed: int) -> Rung:
    from mlbaseline.engine.recipe import TrainingJob
    from mlbaseline.models.checkpoint import load_checkpoint

    base = site.suite.base_model(spec)
    prompting = site.prompting(name, None, None)
    if harness := harness_of(site.suite):
        harness.check_trainable()
    precision, device = _resolved(site)
    job = TrainingJob(
        task=site.suite.task,
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

        trained = train(job, description=progress_name(name, seed))
        checkpoint = load_checkpoint(trained.folder, base=job.base.path, precision=precision, device=device)
        return Opened(_answering(site, name, seed, checkpoint, prompting), trained)

    fields = {
        "model.kind": spec.kind,
        "model.sha256": job.base.sha256,
        **job.signature_fields(),
        **prompting.signature_fields(),
        **_engine_fields(site),
    }
    return site.rung(name, seed, fields=fields, open_=open_)


def _engine_fields(site: Site) -> dict[str, Scalar]:
    from mlbaseline.engine.scoring import ENGINE_VERSION

    precision, device = _resolved(site)
    return {
        "engine.version": ENGINE_VERSION,
        "engine.batch_tokens": site.suite.evaluation.batch_tokens,
        "engine.max_length": site.suite.evaluation.max_length,
        "engine.precision": precision,
        "engine.device": device,
        **_task_fields(site.suite.task, site.suite.evaluation.max_length),
    }


def _task_fields(task: Task, window: int) -> dict[str, Scalar]:
    """What of a task decides an answer, beside data and prompt. window: tokens read at once."""
    if isinstance(task, GenerateTask):
        from mlbaseline.engine.generation import GENERATION_VERSION

        return {"generation.version": GENERATION_VERSION, **Decoding.of(task).signature_fields()}
    return {"text.stride": task.stride, "text.window": window} if isinstance(task, PerplexityTask) else {}


def _resolved(site: Site) -> tuple[Any, str]:
    from mlbaseline.models.checkpoint import default_device, resolve_precision

    device = default_device()
    return resolve_precision(site.suite.evaluation.precision, device), device


def _answering(site: Site, name: str, seed: int | None, checkpoint: Any, prompting: Prompting) -> Model:
    from mlbaseline.engine.answering import answering_model

    return answering_model(
        site.suite.task,
        checkpoint,
        prompting,
        site.data.labels,
        site.suite.evaluation,
        seed=seed,
        description=progress_name(name, seed),
    )
