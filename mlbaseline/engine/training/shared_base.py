"""The base model that the seeds of a rung share: loaded once, and reused without the adapter.

At most one base is cached, between trainings that follow each other. It is released before a model answers, to free its
memory.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

from mlbaseline.engine.training.job import TrainingJob, load_base
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.models.checkpoints.quantization import QUANTISED
from mlbaseline.suite import OtherPeft, Peft

_cached_base: dict[str, Checkpoint] = {}


def take_base(job: TrainingJob) -> Checkpoint:
    """Take the base of a training from the seed before it, or load it; any other cached base is released."""
    cached = _cached_base.pop(_key(job), None) if _is_shared(job) else None
    release_base()
    return cached or load_base(job)


def return_base(job: TrainingJob, checkpoint: Checkpoint, adapted: Any) -> None:
    """Cache the base for the next training, without its adapter, if the method allows it."""
    if _is_shared(job):
        model = adapted.get_base_model() if adapted.active_peft_config.is_prompt_learning else adapted.unload()
        _cached_base[_key(job)] = replace(checkpoint, model=model.eval())


def release_base() -> None:
    """Release the cached base, to free its memory."""
    if _cached_base:
        _cached_base.clear()
        gc.collect()


def _is_shared(job: TrainingJob) -> bool:
    """Return whether the next training can use the base.

    It cannot after a full fine-tune, where copying all weights costs no less than loading them, or where another
    method, quantised weights or checkpointing may change the model.
    """
    is_restorable = isinstance(job.spec, Peft) and not isinstance(job.spec, OtherPeft)
    return is_restorable and job.precision not in QUANTISED and not job.spec.gradient_checkpointing


def _key(job: TrainingJob) -> str:
    return f"{job.base.path} {job.base.sha256} {job.precision} {job.device}"
