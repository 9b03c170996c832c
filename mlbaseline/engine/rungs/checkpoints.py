"""Rungs that a causal language model of our own answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from mlbaseline.engine.prompting import make_prompting
from mlbaseline.engine.rungs.rung import Opened, Rung, Site, progress_name
from mlbaseline.models.tokenizer import tokenizer_sha256
from mlbaseline.records import Example, Model, Scalar
from mlbaseline.suite import ChoiceTask, GenerateTask, PerplexityTask, Pretrained
from mlbaseline.tasks import harness_of
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Asks, Teaches, choose_shots


def pretrained_rungs(site: Site, name: str, spec: Pretrained, seeds: Sequence[int]) -> list[Rung]:
    return [_pretrained(site, name, spec, seed) for seed in (seeds if site.suite.is_random(name) else (None,))]


def _pretrained(site: Site, name: str, spec: Pretrained, seed: int | None) -> Rung:
    asset = site.fetch(spec.model)
    prompting, shots = _asking(site, name, spec, seed, asset.path)
    precision, device = resolved(site)

    def open_() -> Opened:
        from mlbaseline.models.checkpoint import load_checkpoint

        load = partial(load_checkpoint, asset.path, precision=precision, device=device)
        checkpoint = site.loaded.share((asset.path, asset.sha256, precision, device), load)
        return Opened(scorer(site, name, seed, checkpoint, prompting, weights=asset.sha256), shots=shots)

    fields = {
        "model.kind": spec.kind,
        "model.sha256": asset.sha256,
        **prompting.signature_fields(),
        **engine_fields(site),
        **task_fields(site, asset.path),
    }
    return site.rung(name, seed, fields=fields, open_=open_, shares=True)


def _asking(
    site: Site, name: str, spec: Pretrained, seed: int | None, model: Path
) -> tuple[Teaches, tuple[Example, ...] | None]:
    """The prompts, and the solved examples that all of them show; None where each shows others."""
    harness = harness_of(site.suite)
    if harness is not None:
        sampled = seed if spec.shots and spec.shots.sample == "seed" else None
        return harness.prompting(spec.shots.k if spec.shots else 0, sampled), None
    shots = choose_shots(spec.shots, site.training_data(name), seed or 0) if spec.shots else ()
    return make_prompting(site.suite.task, model, shots=shots, labels=site.data.labels), tuple(shots)


def engine_fields(site: Site) -> dict[str, Scalar]:
    from mlbaseline.engine.scoring import ENGINE_VERSION

    precision, device = resolved(site)
    return {
        "engine.version": ENGINE_VERSION,
        "engine.batch_tokens": site.suite.evaluation.batch_tokens,
        "engine.max_length": site.suite.evaluation.max_length,
        "engine.precision": precision,
        "engine.device": device,
    }


def task_fields(site: Site, model: Path) -> dict[str, Scalar]:
    """What of a task decides an answer, beside data and prompt, and where tokens are counted which tokenizer counts."""
    task = site.suite.task
    if isinstance(task, GenerateTask):
        from mlbaseline.engine.generation import GENERATION_VERSION

        return {"generation.version": GENERATION_VERSION, **Decoding.of(task).signature_fields()}
    if isinstance(task, PerplexityTask):
        window = {"text.window": site.suite.evaluation.max_length, "text.stride": task.stride}
        return {**window, "model.tokenizer_sha256": tokenizer_sha256(model)}
    return {"model.tokenizer_sha256": tokenizer_sha256(model)} if task.normalisation == "token" else {}


def resolved(site: Site) -> tuple[Any, str]:
    from mlbaseline.models.checkpoint import default_device, resolve_precision

    device = default_device()
    return resolve_precision(site.suite.evaluation.precision, device), device


def scorer(site: Site, name: str, seed: int | None, checkpoint: Any, prompting: Asks, *, weights: str | None) -> Model:
    """weights: names the model by content, so that its scores are kept, and never taken for another's; None where they
    are not to be kept."""
    from mlbaseline.engine.answering import answering_model
    from mlbaseline.engine.score_cache import ScoreCache
    from mlbaseline.models.checkpoint import CONVERSION

    cache = None
    if weights is not None and isinstance(site.suite.task, ChoiceTask):
        software = {f"software.{package}": metadata.version(package) for package in ("torch", "transformers", "peft")}
        decides = {"weights": weights, "conversion": CONVERSION, **engine_fields(site), **software}
        cache = ScoreCache(decides, fresh=site.fresh)
    return answering_model(
        site.suite.task,
        checkpoint,
        prompting,
        site.data.labels,
        site.suite.evaluation,
        seed=seed,
        cache=cache,
        description=progress_name(name, seed),
    )
