"""Rungs that a causal language model of our own answers."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

from mlbaseline.engine.rungs.rung import Opened, Rung, Site, progress_name
from mlbaseline.records import Model, Scalar
from mlbaseline.suite import Pretrained
from mlbaseline.tasks.prompting import Prompting, few_shot_prefix


def pretrained_rungs(site: Site, name: str, spec: Pretrained, seeds: Sequence[int]) -> list[Rung]:
    return [_pretrained(site, name, spec, seed) for seed in (seeds if spec.is_random else (None,))]


def _pretrained(site: Site, name: str, spec: Pretrained, seed: int | None) -> Rung:
    asset = site.fetch(spec.model)
    template = site.suite.task.prompt
    prefix = few_shot_prefix(template, spec.shots, site.training_data(name), seed or 0) if spec.shots else ""
    prompting = Prompting(template, prefix, spec.shots.k if spec.shots else 0)
    precision, device = resolved(site)

    def open_() -> Opened:
        from mlbaseline.models.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(asset.path, precision=precision, device=device)
        return Opened(scorer(site, name, seed, checkpoint, prompting, weights=asset.sha256))

    fields = {
        "model.kind": spec.kind,
        "model.sha256": asset.sha256,
        **prompting.signature_fields(),
        **engine_fields(site),
    }
    return site.rung(name, seed, fields=fields, open_=open_)


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


def resolved(site: Site) -> tuple[Any, str]:
    from mlbaseline.models.checkpoint import default_device, resolve_precision

    device = default_device()
    return resolve_precision(site.suite.evaluation.precision, device), device


def scorer(
    site: Site, name: str, seed: int | None, checkpoint: Any, prompting: Prompting, *, weights: str | None
) -> Model:
    """weights: names the model by content, so that its scores are kept, and never taken for another's; None where they
    are not to be kept."""
    from mlbaseline.engine.score_cache import ScoreCache
    from mlbaseline.engine.scoring import ChoiceScorer
    from mlbaseline.models.checkpoint import CONVERSION

    cache = None
    if weights is not None:
        software = {f"software.{package}": metadata.version(package) for package in ("torch", "transformers", "peft")}
        decides = {"weights": weights, "conversion": CONVERSION, **engine_fields(site), **software}
        cache = ScoreCache(decides, fresh=site.fresh)
    return ChoiceScorer(
        checkpoint,
        prompting,
        site.data.labels,
        site.suite.evaluation,
        cache=cache,
        description=progress_name(name, seed),
    )
