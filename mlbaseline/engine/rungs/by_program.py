"""Rungs that are fine-tuned by a program of the user's: a command, or an MLflow Project."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mlbaseline.engine.rungs.finetunes import (
    helped_by_copies,
    language_model_of,
    make_finetune_rung,
    open_finetune,
    training_job,
)
from mlbaseline.engine.rungs.language_model import answering_of
from mlbaseline.engine.rungs.rung import OpenedRung, OpenProgramRun, Rung, RungContext
from mlbaseline.engine.training.program.job import ProgramJob
from mlbaseline.errors import DataError
from mlbaseline.progress import Stage
from mlbaseline.records import Trained
from mlbaseline.suite import Full, ProgramAdapter, ProgramSpec
from mlbaseline.tasks import kind_of_suite


def program_rungs(context: RungContext, name: str, spec: ProgramSpec, seeds: Sequence[int]) -> list[Rung]:
    """Make the rungs of a model that a program of the user's trains, one per seed."""
    return [_rung(context, name, program_job(context, name, spec, seed)) for seed in seeds]


def program_job(context: RungContext, name: str, spec: ProgramSpec, seed: int) -> ProgramJob:
    """Describe the training of one seed of a rung. Raises as `build_rungs`."""
    suite, source = context.suite, context.suite.base_model(spec)
    base, dev = context.fetch(source), context.task.splits.get("dev")
    kind_of_suite(suite).check_trainable()
    if dev is None and spec.train.uses("dev_file"):
        raise DataError(
            f"baselines.{name}.train: names {{dev_file}}, and the suite has no split dev; add it to `split`, or leave "
            "the placeholder out"
        )
    return ProgramJob(
        baseline=name,
        task=suite.task,
        spec=spec,
        seed=seed,
        root=suite.root,
        base=base,
        base_source=source.source,
        train=context.training_data(name),
        dev=dev,
        prompting=context.prompting(base.path),
    )


def _rung(context: RungContext, name: str, job: ProgramJob) -> Rung:
    answering = answering_of(context, job.seed)
    base = job.base.path if isinstance(job.spec, ProgramAdapter) else None

    def measure_dev(weights: Path) -> Mapping[str, float]:
        """Measure it as after an epoch of our own training."""
        from mlbaseline.engine.training import dev_metrics

        options = Full(kind="full", base=job.spec.base, learning_rate=1.0, select=job.spec.select)
        measured = dev_metrics.measure_dev(
            training_job(context, name, options, job.seed),
            answering.loader(weights, base)(),
            description=Stage(name, job.seed, dev_metrics.SCORING_DEV),
        )
        gc.collect()
        return measured

    def train(open_run: OpenProgramRun | None = None) -> Trained:
        from mlbaseline.engine.training.program.training import train_by_program
        from mlbaseline.engine.training.shared_base import release_base

        context.shared_checkpoint.drop()
        release_base()  # the program has the memory to itself
        title = Stage(name, job.seed, "training")
        return train_by_program(job, measure_dev=measure_dev, open_run=open_run, description=title)

    def open_() -> OpenedRung:
        trained = train()
        model = language_model_of(trained.weights, job.prompting, base)
        opened = open_finetune(helped_by_copies(context, job.key, trained, base), name, answering, model)
        return replace(opened, weights=trained.weights, trained=trained)

    fields = {"model.sha256": job.base.sha256, **job.signature_fields(), **job.prompting.signature_fields()}
    rung = make_finetune_rung(context, name, answering, base=job.base, fields=fields, open_=open_)
    return replace(rung, train_by_program=train)
