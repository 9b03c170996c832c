"""Baselines of a suite ─▶ rungs: what will be evaluated, known by its signature before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from mlbaseline import suite
from mlbaseline.engine.rungs.by_program import program_rungs
from mlbaseline.engine.rungs.expected import Expectation
from mlbaseline.engine.rungs.finetunes import ready_rungs, trained_rungs
from mlbaseline.engine.rungs.pretrained import pretrained_rungs
from mlbaseline.engine.rungs.production import generation_fields, production_rungs
from mlbaseline.engine.rungs.recorded import build_recorded_rungs, external_rungs, recorded_rungs
from mlbaseline.engine.rungs.rung import (
    FindRegistered,
    OpenedRung,
    OpenProgramRun,
    ProgramRun,
    RegisteredModel,
    Rung,
    RungContext,
    TaskDescription,
    describe_baseline,
)
from mlbaseline.engine.rungs.shared_checkpoint import SharedCheckpoint
from mlbaseline.engine.rungs.trivial import build_annotators_rung, human_rungs, trivial_rungs

__all__ = [
    "Expectation",
    "FindRegistered",
    "OpenProgramRun",
    "OpenedRung",
    "ProgramRun",
    "RegisteredModel",
    "Rung",
    "RungContext",
    "SharedCheckpoint",
    "TaskDescription",
    "build_annotators_rung",
    "build_recorded_rungs",
    "build_rungs",
    "describe_baseline",
    "generation_fields",
]

_RUNGS: dict[type, Callable[[RungContext, str, Any, Sequence[int]], list[Rung]]] = {
    suite.Trivial: trivial_rungs,
    suite.Pretrained: pretrained_rungs,
    **dict.fromkeys(get_args(suite.TrainedSpec), trained_rungs),
    **dict.fromkeys(get_args(suite.ProgramSpec), program_rungs),
    **dict.fromkeys(get_args(suite.ReadySpec), ready_rungs),
    suite.External: external_rungs,
    suite.Human: human_rungs,
    suite.Production: production_rungs,
    suite.Recorded: recorded_rungs,
}


def build_rungs(context: RungContext, name: str, seeds: Sequence[int]) -> list[Rung]:
    """Make the rungs of one baseline: one per seed, or a single one where the seed decides nothing.

    Models and files are fetched and hashed, so that the signature knows them by content; no model is loaded.

    Args:
        context: The suite and its data.
        name: Of the baseline.
        seeds: Of the suite.

    Returns:
        No rung where the suite says that the baseline is optional, and there is no such model yet.

    Raises:
        AssetError: A model or file cannot be had.
        DataError: The suite's data is not what the baseline needs.
    """
    spec = context.suite.baselines[name]
    return _RUNGS[type(spec)](context, name, spec, seeds)
