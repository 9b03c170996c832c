"""What the rungs of a suite are made from, with a tracking server at hand."""

from __future__ import annotations

from functools import partial

from mlbaseline import serving, store
from mlbaseline.engine.rungs import RungContext
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.evaluations.ladder_run import LadderRun
from mlbaseline.workflows.judging import scorer_finder


def open_context(ladder: LadderRun, *, fresh: bool = False, processes: int = 1) -> RungContext:
    """Prepare the rungs of a ladder, for the split `test`.

    Args:
        ladder: The suite, its data, and the server that has registered models, scorers and assets.
        fresh: Whether cached results are computed again.
        processes: Number of processes that answer together.

    Raises:
        AssetError: A file cannot be had.
        DataError: A file does not hold what the suite needs.
    """
    suite, tracker = ladder.suite, ladder.tracker
    return RungContext(
        suite,
        ladder.task,
        make_fetcher(suite, tracker),
        find_registered=partial(serving.find_registered, tracker, trusted=store.trusted_keys(suite)),
        find_scorer=scorer_finder(tracker),
        fresh=fresh,
        processes=processes,
    )
