"""Answers that were imported for a rung stand in the place of our own, until something supersedes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from mlbaseline import store
from mlbaseline.importers.imported import IMPORTED_FORMAT
from mlbaseline.suite import Recorded
from mlbaseline.tasks import LoadedTask
from mlbaseline.workflows.comparisons.derivation import Derivation
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated
from mlbaseline.workflows.evaluations.ladder_run import LadderRun

log = logging.getLogger("mlbaseline")

Kept = Mapping[str, Mapping[int | None, Evaluated]]
"""baseline ─▶ seed ─▶ its imported run."""


def keep_imports(ladder: LadderRun, task: LoadedTask, names: Sequence[str]) -> Kept:
    """Find the rungs whose newest completed run was imported, and is one that the suite would still take.

    Args:
        ladder: The run that evaluations belong to.
        task: The suite's data.
        names: Baselines that are to be evaluated.

    Returns:
        The runs that stay. One that the suite would not take is named in a warning, with what is different now.
    """
    newest: dict[tuple[str, int | None], store.EvaluationRun] = {}
    for run in store.find_evaluations(ladder.tracker):
        if run.split == "test" and run.baseline in names:
            newest.setdefault((run.baseline, run.seed), run)
    imported = [run for run in newest.values() if IMPORTED_FORMAT in run.params]
    derivation = Derivation(ladder.suite, ladder.tracker, task=task)
    kept: dict[str, dict[int | None, Evaluated]] = {}
    for run in reversed(imported):
        if reason := derivation.why_not(run):
            log.warning("%s: the imported run %s is not taken any more: %s", run.baseline, run.run_id, reason)
            continue
        by_import_alone = isinstance(ladder.suite.baselines[run.baseline], Recorded)
        log.info(
            "%s: keeps the answers imported from %s (run %s); %s",
            run.baseline,
            run.params[IMPORTED_FORMAT],
            run.run_id,
            "another import replaces them" if by_import_alone else "--fresh evaluates it here instead",
        )
        shown = {name: run.metrics[name] for name in ladder.suite.metrics if name in run.metrics}
        kept.setdefault(run.baseline, {})[run.seed] = Evaluated(run.baseline, run.seed, run.run_id, True, shown)
    return kept
