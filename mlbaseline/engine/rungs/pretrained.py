"""Rungs that a causal language model of our own answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline.engine.inference.chat_prompting import make_prompting
from mlbaseline.engine.rungs.rung import Opened, Rung, Site, progress_name
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.quantization import QUANTISED, packages_of
from mlbaseline.models.tokenizer import tokenizer_sha256
from mlbaseline.records import Example, Model, Scalar
from mlbaseline.suite import GenerateTask, PerplexityTask, Pretrained
from mlbaseline.tasks import harness_of
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Asks, Teaches, choose_shots

if TYPE_CHECKING:
    from mlbaseline.engine.inference.worker_pool import WorkerPool


def pretrained_rungs(site: Site, name: str, spec: Pretrained, seeds: Sequence[int]) -> list[Rung]:
    return [_pretrained(site, name, spec, seed) for seed in (seeds if site.suite.is_random(name) else (None,))]


def _pretrained(site: Site, name: str, spec: Pretrained, seed: int | None) -> Rung:
    asset = site.fetch(spec.model)
    prompting, shots = _asking(site, name, spec, seed, asset.path)
    precision, device = resolved(site)
    shares = site.suite.evaluation.generate_with == "engine"  # the others move the model, or change how it attends

    def open_() -> Opened:
        from mlbaseline.models.checkpoint import load_checkpoint

        load = partial(load_checkpoint, asset.path, precision=precision)
        here = partial(load, device=device)
        checkpoint = site.loaded.share((asset.path, asset.sha256, precision, device), here) if shares else here()
        workers = make_worker_pool(site, load)
        return Opened(
            scorer(site, name, seed, checkpoint, prompting, weights=asset.sha256, workers=workers), shots=shots
        )

    fields = {
        "model.kind": spec.kind,
        "model.sha256": asset.sha256,
        **prompting.signature_fields(),
        **engine_fields(site),
        **task_fields(site, asset.path),
    }
    return site.rung(name, seed, fields=fields, open_=open_, shares=shares, processes=site.processes)


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
    from mlbaseline.engine.scoring.choices import ENGINE_VERSION
    from mlbaseline.models.checkpoint import computed_in, precision_fields

    precision, device = resolved(site)
    return {
        "engine.version": ENGINE_VERSION,
        "engine.batch_tokens": site.suite.evaluation.batch_tokens,
        "engine.max_length": site.suite.evaluation.max_length,
        **precision_fields(precision, computed_in(precision, device)),
        "engine.device": device,
    }


def task_fields(site: Site, model: Path) -> dict[str, Scalar]:
    """What of a task decides an answer, beside data and prompt, and where tokens are counted which tokenizer counts."""
    task = site.suite.task
    if isinstance(task, GenerateTask):
        return {"engine.generate_with": _generating(site), **_generation_fields(Decoding.of(task))}
    if isinstance(task, PerplexityTask):
        window = {"text.window": site.suite.evaluation.max_length, "text.stride": task.stride}
        return {**window, "model.tokenizer_sha256": tokenizer_sha256(model)}
    return {"model.tokenizer_sha256": tokenizer_sha256(model)} if task.normalisation == "token" else {}


def _generating(site: Site) -> str:
    """What writes the texts. Raises MlbaselineError if it is not there."""
    name = site.suite.evaluation.generate_with
    if name == "vllm" and site.suite.evaluation.precision in QUANTISED:
        raise MlbaselineError(
            "evaluation.generate_with: vllm computes with quantised weights in a way of its own; leave it out, or "
            "choose another `precision`"
        )
    if name == "vllm" and find_spec("vllm") is None:
        raise MlbaselineError(
            'evaluation.generate_with: vllm is not installed; `pip install "mlbaseline[vllm]"`, or leave it out'
        )
    if name == "vllm" and site.processes > 1:
        raise MlbaselineError("evaluation.generate_with: vllm fills a GPU by itself; leave --processes out")
    return name


def _generation_fields(decoding: Decoding) -> dict[str, Scalar]:
    from mlbaseline.engine.generation.generator import GENERATION_VERSION

    return {"generation.version": GENERATION_VERSION, **decoding.signature_fields()}


def resolved(site: Site) -> tuple[Any, str]:
    """Precision and device. Raises MlbaselineError where the precision needs a package that is missing."""
    from mlbaseline.models.checkpoint import default_device, resolve_precision

    device = default_device()
    return resolve_precision(site.suite.evaluation.precision, device), device


def make_worker_pool(site: Site, load: Callable[..., Any]) -> WorkerPool | None:
    """The processes that answer together, if there are several. load: the model, for a `device`."""
    from mlbaseline.engine.inference.worker_pool import WorkerPool

    return WorkerPool(site.processes, load, resolved(site)[1]) if site.processes > 1 else None


def scorer(
    site: Site,
    name: str,
    seed: int | None,
    checkpoint: Any,
    prompting: Asks,
    *,
    weights: str | None,
    workers: WorkerPool | None = None,
) -> Model:
    """weights: names the model by content, so that what it computes is kept, and never taken for another's; None where
    nothing is to be kept. workers: other processes that have the same model."""
    from mlbaseline.engine.answering import answering_model
    from mlbaseline.engine.inference.execution import Execution
    from mlbaseline.engine.inference.result_cache import ResultCache
    from mlbaseline.models.checkpoint import CONVERSION

    cache = None
    if weights is not None:
        packages = ("torch", "transformers", "peft", *packages_of(checkpoint.precision))
        software = {f"software.{package}": metadata.version(package) for package in packages}
        decides: dict[str, Scalar] = {"weights": weights, "conversion": CONVERSION, **engine_fields(site), **software}
        if isinstance(site.suite.task, GenerateTask):
            written = replace(Decoding.of(site.suite.task), extract=None)  # what is read out of a text is read anew
            decides |= {"with": _generating(site), **_generation_fields(written), "seed": seed}
        cache = ResultCache(decides, fresh=site.fresh)
    return answering_model(
        site.suite.task,
        checkpoint,
        prompting,
        site.data.labels,
        site.suite.evaluation,
        seed=seed,
        execution=Execution(cache, workers, progress_name(name, seed)),
    )
