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
from mlbaseline.engine.rungs.pretrained import engine_fields, make_worker_pool, resolved, scorer, task_fields
from mlbaseline.engine.rungs.rung import Opened, Rung, Site, progress_name
from mlbaseline.errors import AssetError
from mlbaseline.models.quantization import QUANTISED
from mlbaseline.records import Model, Scalar, Trained, Weights
from mlbaseline.suite import OtherPeft, Peft, ReadyAdapter, ReadyModel, ReadySpec, TrainedSpec
from mlbaseline.tasks import harness_of
from mlbaseline.tasks.prompting import Teaches

if TYPE_CHECKING:
    from mlbaseline.engine.training.job import TrainingJob


def trained_rungs(site: Site, name: str, spec: TrainedSpec, seeds: Sequence[int]) -> list[Rung]:
    if isinstance(spec, OtherPeft):
        from mlbaseline.engine.training.peft_methods import check_method

        check_method(spec, suite_name=site.suite.name, baseline=name)
    return [_trained(site, name, _job(site, name, spec, seed)) for seed in seeds]


def _job(site: Site, name: str, spec: TrainedSpec, seed: int) -> TrainingJob:
    from mlbaseline.engine.training.job import TrainingJob
    from mlbaseline.models.checkpoint import computed_in

    base = site.suite.base_model(spec)
    asset = site.fetch(base)
    if harness := harness_of(site.suite):
        harness.check_trainable()
    precision, device = resolved(site)
    return TrainingJob(
        task=site.suite.task,
        spec=spec,
        seed=seed,
        base=asset,
        base_source=base.source,
        train=site.training_data(name),
        dev=site.task.splits.get("dev"),
        prompting=site.prompting(asset.path),
        evaluation=site.suite.evaluation,
        # All weights are trained as they are, and quantised to be asked; an adapter learns on the quantised base.
        precision=precision if isinstance(spec, Peft) else computed_in(precision, device),
        device=device,
    )


def _trained(site: Site, name: str, job: TrainingJob) -> Rung:
    def prepare() -> Trained:
        from mlbaseline.engine.training.loop import train

        site.loaded.drop()
        return train(job, description=progress_name(name, job.seed))

    def open_() -> Opened:
        from mlbaseline.engine.training.shared_base import release_base

        trained = prepare()
        release_base()  # answering has its memory to itself
        base_path = job.base.path if isinstance(job.spec, Peft) else None
        return replace(_open(site, name, job.seed, trained.weights, job.prompting, base=base_path), trained=trained)

    fields = {"model.sha256": job.base.sha256, **job.signature_fields()}
    rung = _rung(site, name, job.seed, prompting=job.prompting, base=job.base, fields=fields, open_=open_)
    return replace(rung, prepare=prepare)


def ready_rungs(site: Site, name: str, spec: ReadySpec, seeds: Sequence[int]) -> list[Rung]:
    each = seeds if site.suite.is_random(name) else (None,)
    if isinstance(spec, ReadyAdapter):
        return [_ready_adapter(site, name, spec, seed) for seed in each]
    return [_ready_model(site, name, spec, seed) for seed in each]


def _ready_model(site: Site, name: str, spec: ReadyModel, seed: int | None) -> Rung:
    model = site.fetch(spec.model)
    prompting = site.prompting(model.path)

    def open_() -> Opened:
        from mlbaseline.engine.training.saved_state import weights_sha256
        from mlbaseline.models.checkpoint import model_folder

        folder = model_folder(model.path)
        return _open(site, name, seed, Weights(folder, weights_sha256(folder)), prompting)

    fields = {"model.sha256": model.sha256}
    return _rung(site, name, seed, prompting=prompting, base=model, fields=fields, open_=open_)


def _ready_adapter(site: Site, name: str, spec: ReadyAdapter, seed: int | None) -> Rung:
    source = site.suite.base_model(spec)
    adapter, base = site.fetch(spec.adapter), site.fetch(source)
    _require_base(adapter.path, base, source.source, f"baselines.{name}")
    prompting = site.prompting(base.path)

    def open_() -> Opened:
        from mlbaseline.engine.training.saved_state import weights_sha256

        return _open(site, name, seed, Weights(adapter.path, weights_sha256(adapter.path)), prompting, base=base.path)

    fields = {"model.sha256": base.sha256, "model.adapter_sha256": adapter.sha256}
    return _rung(site, name, seed, prompting=prompting, base=base, fields=fields, open_=open_)


def _rung(
    site: Site,
    name: str,
    seed: int | None,
    *,
    prompting: Teaches,
    base: FetchedAsset,
    fields: Mapping[str, Scalar],
    open_: Callable[[], Opened],
) -> Rung:
    """base: the model whose tokenizer reads the prompts."""
    about = {
        "model.kind": site.suite.baselines[name].kind,
        **fields,
        **prompting.signature_fields(),
        **engine_fields(site),
        **task_fields(site, base.path),
    }
    return site.rung(name, seed, fields=about, open_=open_, processes=site.processes)


def _open(
    site: Site, name: str, seed: int | None, weights: Weights, prompting: Teaches, *, base: Path | None = None
) -> Opened:
    """base: of an adapter, which is timed beside its base first, where the rung itself will answer with it merged."""
    from mlbaseline.models.checkpoint import load_checkpoint

    precision, device = resolved(site)
    load = partial(load_checkpoint, weights.folder, base=base, precision=precision)
    unmerged_s = None
    if base is not None and precision not in QUANTISED and site.suite.evaluation.latency_sample:
        beside = load(device=device, merge=False)
        unmerged_s = _latency_p50_s(site, scorer(site, name, seed, beside, prompting, weights=None))
        del beside
        gc.collect()
    checkpoint = load(device=device)
    is_merged = base is not None and not hasattr(checkpoint.model, "get_base_model")
    figures: dict[tuple[str, ...], float] = {}
    if is_merged and unmerged_s is not None:
        figures["latency_unmerged_p50_s",] = unmerged_s
    # All files, not the weights alone: an adapter's configuration decides as much.
    known_as = " on ".join(sha256_of(path) for path in (weights.folder, base) if path is not None)
    model = scorer(site, name, seed, checkpoint, prompting, weights=known_as, workers=make_worker_pool(site, load))
    return Opened(model, weights, figures=figures)


def _latency_p50_s(site: Site, model: Model) -> float | None:
    """Of as many queries as the suite times, evenly spread; None where each of them failed."""
    wanted = site.suite.evaluation.latency_sample
    ordered = sorted(site.data.examples, key=lambda example: example.id)
    sample = ordered[:: max(1, len(ordered) // wanted)][:wanted]
    times_s = [answer.latency_s for answer in model.answer(sample) if answer.latency_s is not None]
    return median(times_s) if times_s else None


_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")


def _require_base(adapter: Path, base: FetchedAsset, source: str, where: str) -> None:
    """Raises AssetError for what is no adapter, or one that says that it belongs to another model than `base`."""
    from mlbaseline.models.adapter_files import named_base, recorded_base

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
