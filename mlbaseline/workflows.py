"""One function per entry point: the only place that strings the folders together.

Each takes a suite (a path or the name of a packaged one) and what its command takes, and returns an Outcome. Everything
that a later step needs it reads back from the tracking server, never from the memory of an earlier step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbaseline import assets, store
from mlbaseline.engine.rungs import Rung, build_rungs
from mlbaseline.errors import SuiteError
from mlbaseline.suite import KINDS, Asset, Suite
from mlbaseline.suite_file import load_suite
from mlbaseline.tasks import LoadedTask, load_task

log = logging.getLogger("mlbaseline")


@dataclass(frozen=True)
class Outcome:
    """What a command has to say: a JSON document, the same for a person, and a verdict where one was reached."""

    document: Mapping[str, Any]
    text: Callable[..., str] = field(repr=False)
    verdict: str | None = None


# ---- evaluate -------------------------------------------------------------------------------------------------------


def evaluate(
    suite: str | Path,
    *,
    kind: str | None = None,
    baselines: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fresh: bool = False,
    tracking_uri: str | None = None,
) -> Outcome:
    """Evaluate baselines of a suite on `test`, every seed, each as a run; reuse the completed ones of equal signature."""
    loaded = load_suite(suite)
    names = _chosen_baselines(loaded, kind, baselines)
    tracker = store.connect(tracking_uri, loaded.name)
    with store.open_ladder(tracker, loaded) as ladder:
        evaluated = _evaluate_all(loaded, names, _chosen_seeds(loaded, seeds), fresh, tracker, ladder)
    return Outcome(
        {"ladder_run_id": ladder.run_id, "evaluations": [run.document for run in evaluated]},
        lambda **_: render_evaluations(evaluated),
    )
