"""Baselines of a suite ─▶ rungs: what will be evaluated, known by its signature before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from mlbaseline import suite
from mlbaseline.engine.rungs.finetunes import ready_rungs, trained_rungs
from mlbaseline.engine.rungs.pretrained import pretrained_rungs
from mlbaseline.engine.rungs.production import generation_fields, production_rungs
from mlbaseline.engine.rungs.recorded import build_recorded_rungs, external_rungs, recorded_rungs
from mlbaseline.engine.rungs.rung import (
    Fetch,
    FindRegistered,
    Opened,
    Question,
    Registered,
    Rung,
    Site,
    describe_baseline,
)
from mlbaseline.engine.rungs.shared_checkpoint import LastLoaded
from mlbaseline.engine.rungs.trivial import build_annotators_rung, human_rungs, trivial_rungs
from mlbaseline.suite import Split, Suite
from mlbaseline.tasks import LoadedTask

__all__ = [
    "Fetch",
    "FindRegistered",
    "LastLoaded",
    "Opened",
    "Question",
    "Registered",
    "Rung",
    "build_annotators_rung",
    "build_recorded_rungs",
    "build_rungs",
    "describe_baseline",
    "generation_fields",
]

_RUNGS: dict[type, Callable[[Site, str, Any, Sequence[int]], list[Rung]]] = {
    suite.Trivial: trivial_rungs,
    suite.Pretrained: pretrained_rungs,
    **dict.fromkeys(get_args(suite.TrainedSpec), trained_rungs),
    **dict.fromkeys(get_args(suite.ReadySpec), ready_rungs),
    suite.External: external_rungs,
    suite.Human: human_rungs,
    suite.Production: production_rungs,
    suite.Recorded: recorded_rungs,
}


def build_rungs(
    suite: Suite,
    task: LoadedTask,
    name: str,
    fetch: Fetch,
    seeds: Sequence[int],
    *,
    split: Split = "test",
    find_registered: FindRegistered | None = None,
    fresh: bool = False,
    loaded: LastLoaded | None = None,
    processes: int = 1,
) -> list[Rung]:
    """The rungs of one baseline: one per seed, or a single one where the seed has no part in it.

    None where the suite says that the baseline is optional, and there is no such model yet. fresh: no score that was
    computed before is reused. loaded: shared with the rungs of other baselines. processes: that answer together.
    Fetches (and hashes) the assets, so that the signature knows them by content; loads none. Raises AssetError,
    DataError.
    """
    spec = suite.baselines[name]
    site = Site(suite, task, fetch, split, find_registered, fresh, loaded or LastLoaded(), processes)
    return _RUNGS[type(spec)](site, name, spec, seeds)
