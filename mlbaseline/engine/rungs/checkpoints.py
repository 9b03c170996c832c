"""Rungs that a causal language model of our own answers: as it comes, or fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

from mlbaseline.engine.rungs.rung import Opened, Rung, Site, progress_name
from mlbaseline.records import Model, Scalar
from mlbaseline.suite import Pretrained, TrainedSpec
from mlbaseline.tasks.prompting import Prompting, few_shot_prefix


def pretrained_rungs(site: Site, name: str, spec: Pretrained, seeds: Sequence[int]) -> list[Rung]:
    return [_pretrained(site, name, spec, seed) for seed in (seeds if spec.is_random else (None,))]


def _pretrained(site: Site, name: str, spec: Pretrained, seed: int | None) -> Rung:
    asset = site.fetch(spec.model)
    template = site.suite.task.prompt
    prefix = few_shot_prefix(template, spec.shots, site.training_data(name), seed or 0) if spec.shots else ""
    prompting = Prompting(template, prefix, spec.shots.k if spec.shots else 0)
    precision, device = _resolved(site)

    def open_() -> Opened:
        from mlbaseline.models.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(asset.path, precision=precision, device=device)
        return Opened(_scorer(site, name, seed, checkpoint, prompting, weights=asset.sha256))

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

        trained = train(job, description=progress_name(name, seed))
        checkpoint = load_checkpoint(trained.folder, base=job.base.path, precision=precision, device=device)
        weights = f"{job.base.sha256} {trained.weights_sha256}"  # an adapter's own weights stand on its base
        return Opened(_scorer(site, name, seed, checkpoint, prompting, weights=weights), trained)

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
    }


def _resolved(site: Site) -> tuple[Any, str]:
    from mlbaseline.models.checkpoint import default_device, resolve_precision

    device = default_device()
    return resolve_precision(site.suite.evaluation.precision, device), device


def _scorer(site: Site, name: str, seed: int | None, checkpoint: Any, prompting: Prompting, *, weights: str) -> Model:
    """weights: names the model by content, so that no score of another one is taken for its."""
    from mlbaseline.engine.score_cache import ScoreCache
    from mlbaseline.engine.scoring import ChoiceScorer
    from mlbaseline.models.checkpoint import CONVERSION

    software = {f"software.{package}": metadata.version(package) for package in ("torch", "transformers")}
    decides = {"weights": weights, "conversion": CONVERSION, **_engine_fields(site), **software}
    return ChoiceScorer(
        checkpoint,
        prompting,
        site.data.labels,
        site.suite.evaluation,
        cache=ScoreCache(decides, fresh=site.fresh),
        description=progress_name(name, seed),
    )
