"""The base of one rung's trainings, which its seeds share: read once, and handed on without the adapter.

One base is kept at most, between trainings that follow each other; whoever goes on to answer forgets it first, so that
answering has its memory to itself.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

from mlbaseline.engine.training.job import TrainingJob, load_base
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.models.quantization import QUANTISED
from mlbaseline.suite import OtherPeft, Peft

_kept: dict[str, Checkpoint] = {}


def take_base(job: TrainingJob) -> Checkpoint:
    """The base of a training, from the seed before it or from disk (see `load_base`), with none beside it."""
    kept = _kept.pop(_key(job), None) if _is_shared(job) else None
    forget_base()
    return kept or load_base(job)


def hand_on_base(job: TrainingJob, checkpoint: Checkpoint, adapted: Any) -> None:
    """Keep the base for the next training, without what was trained on it, if that one can have it."""
    if _is_shared(job):
        model = adapted.get_base_model() if adapted.active_peft_config.is_prompt_learning else adapted.unload()
        _kept[_key(job)] = replace(checkpoint, model=model.eval())


def forget_base() -> None:
    """Give its memory back."""
    if _kept:
        _kept.clear()
        gc.collect()


def _is_shared(job: TrainingJob) -> bool:
    """Not for a full fine-tune, where copying all weights costs no less than reading them again, and not where another
    method, quantised weights or checkpointing may leave something behind in the model."""
    leaves_nothing = isinstance(job.spec, Peft) and not isinstance(job.spec, OtherPeft)
    return leaves_nothing and job.precision not in QUANTISED and not job.spec.gradient_checkpointing


def _key(job: TrainingJob) -> str:
    return f"{job.base.path} {job.base.sha256} {job.precision} {job.device}"
