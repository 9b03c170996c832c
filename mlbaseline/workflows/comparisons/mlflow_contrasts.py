"""MLflow's own comparisons of runs that were imported into the ladder, to stand beside ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from mlbaseline import store
from mlbaseline.errors import DataError, TrackingError
from mlbaseline.importers.imported import IMPORTED_FILE, IMPORTED_FORMAT, IMPORTED_SCORE, MLFLOW, scorer_and_metric
from mlbaseline.records import MlflowContrast
from mlbaseline.suite import Suite

log = logging.getLogger("mlbaseline")


def mlflow_contrasts(
    suite: Suite, tracker: store.Tracker, runs: Sequence[store.EvaluationRun]
) -> tuple[MlflowContrast, ...]:
    """Find what `mlflow.genai.compare_evaluations` logged of two runs that both stand in the ladder.

    Args:
        suite: Of the ladder.
        tracker: The tracking server, on which the runs of MLflow are, too.
        runs: Evaluations that are compared.

    Returns:
        One for each pair of them and scorer. What cannot be read is left out with a warning, as it decides nothing.
    """
    imported = {run.params[IMPORTED_FILE]: run for run in runs if run.params.get(IMPORTED_FORMAT) == MLFLOW}
    if len(imported) < 2:
        return ()
    return tuple(row for run_id in imported for row in _contrasts(suite, tracker, run_id, imported))


def _contrasts(
    suite: Suite, server: store.Server, run_id: str, imported: dict[str, store.EvaluationRun]
) -> Iterator[MlflowContrast]:
    candidate = imported[run_id]
    try:
        logged = store.read_logged_comparisons(server, run_id)
    except (DataError, TrackingError) as error:
        log.warning("%s: MLflow's own comparisons are left out: %s", candidate.baseline, error)
        return
    for found in logged:
        baseline = imported.get(found.baseline_run_id)
        if baseline is None:
            continue
        counted = [_counted(suite, run) for run in (candidate, baseline)]
        metric = next((metric for name, metric in counted if name == found.scorer), suite.metrics[0])
        pairs, statistics = found.statistics.get("n_paired"), found.statistics
        yield MlflowContrast(
            candidate=candidate.baseline,
            baseline=baseline.baseline,
            scorer=found.scorer,
            metric=metric,
            is_same_score=counted == [(found.scorer, metric)] * 2,
            n=None if pairs is None else int(pairs),
            delta=statistics.get("diff"),
            low=statistics.get("ci_low"),
            high=statistics.get("ci_high"),
            p_value=statistics.get("p_value"),
        )


def _counted(suite: Suite, run: store.EvaluationRun) -> tuple[str | None, str]:
    """Return the scorer whose values the run was imported with, and the metric that they are."""
    score = run.params.get(IMPORTED_SCORE)
    return (None, suite.metrics[0]) if score is None else scorer_and_metric(suite, score)
