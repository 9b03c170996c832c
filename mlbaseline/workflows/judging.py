"""What the judges of a suite need of the tracking server: scorers, and the answers that others are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from mlbaseline import serving, store
from mlbaseline.engine.judging.judges import FindScorer
from mlbaseline.engine.judging.scoring import JUDGED_SPLIT, Judging
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import DataError
from mlbaseline.metrics.labels import Answers, answers_of
from mlbaseline.suite import Suite


def scorer_finder(tracker: store.Tracker) -> FindScorer:
    """Return what finds the scorers of MLflow that a suite names."""
    return lambda where, scorer: serving.find_scorer(tracker, scorer, where)


def open_judging(context: RungContext, tracker: store.Tracker, *, fresh: bool) -> Judging:
    """Prepare the judges of a suite. None of them is asked or loaded yet.

    Args:
        context: The suite, its data, and the split that is judged.
        tracker: Has the evaluations of baselines that others are compared with.
        fresh: Whether every question is asked again.
    """

    @cache
    def find_answers(baseline: str) -> Answers:
        return _answers(context, tracker, baseline)

    return Judging(context.suite, context.fetch, context.find_scorer, find_answers, context.split, fresh=fresh)


def references_first(suite: Suite, names: Sequence[str], split: str) -> tuple[list[str], list[str]]:
    """Return the baselines that others are compared with by a judge, and the rest.

    Args:
        suite: With judged metrics.
        names: Baselines to be evaluated. Where there are any, those that they are compared with are added.
        split: That is evaluated; `JUDGED_SPLIT` alone is judged.
    """
    against = [metric.against for metric in suite.judged.values() if metric.against is not None]
    references = list(dict.fromkeys(against)) if names and split == JUDGED_SPLIT else []
    return references, [name for name in names if name not in references]


def _answers(context: RungContext, tracker: store.Tracker, baseline: str) -> Answers:
    """Return the answers of the newest evaluation of a baseline that the present suite would make."""
    for rung in build_rungs(context, baseline, context.suite.seeds):
        found = store.find_completed(
            tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=rung.signature.digest
        )
        if found is not None:
            (table,) = store.load_tables(tracker, [found], cache=store.tables_cache())
            return answers_of(table)
    raise DataError(
        f"{context.suite.name}: a judge compares answers with those of {baseline}, which has no completed evaluation. "
        f"Run `mlbaseline evaluate SUITE --baseline {baseline}` first"
    )
