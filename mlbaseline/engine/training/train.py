"""Fine-tuning by one process or by several, once."""

from __future__ import annotations

from pathlib import Path

from mlbaseline.engine.training.cached import train_once
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.engine.training.loop import TrainingRun
from mlbaseline.progress import Title
from mlbaseline.records import Trained


def train(job: TrainingJob, *, description: Title | None = None) -> Trained:
    """Return the finished training from the cache; else train, continuing where an earlier attempt was stopped.

    Args:
        job: everything that decides the weights.
        description: title of the progress bar; None: no bar.

    Raises:
        DataError: a training example cannot be encoded.
        AssetError: the base cannot be loaded, or the cache not be written.
        MlbaselineError: the loss is no number any more, or one of several processes failed.
    """

    def run(folder: Path) -> Trained:
        if job.spec.training is not None:
            from mlbaseline.engine.training.distributed.launch import train_together

            return train_together(job, folder, description)
        training = TrainingRun(job, folder)
        training.run(description)
        trained = training.result()
        training.release()
        return trained

    return train_once(job.key, run)
