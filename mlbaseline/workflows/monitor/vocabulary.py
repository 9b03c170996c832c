"""The words of live items beside those of the suite's data."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline import store
from mlbaseline.errors import MlbaselineError
from mlbaseline.monitor.drift.vocabulary import VocabularyShift, vocabulary_shift
from mlbaseline.monitor.holdout import latest_closed_period
from mlbaseline.store.live import read_holdout
from mlbaseline.tasks import load_task, open_suite
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.comparisons.answered_data import input_text
from mlbaseline.workflows.monitor.holdout import holdout_task
from mlbaseline.workflows.monitor.ledgers import monitor_of

_PERIODS = 2
"""How many closed periods are looked back on: the newest one may have no snapshot yet."""
_log = logging.getLogger("mlbaseline")


def find_vocabulary_shift(suite: str | Path, tracker: store.Tracker, latest_us: int) -> VocabularyShift | None:
    """Compare the newest holdout that a snapshot has left with the suite's data.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        tracker: The tracking server, at the suite's experiment.
        latest_us: Time of the newest event, microseconds since 1970.

    Returns:
        The shift; None where there is no holdout, or the data cannot be had: it is an explanation and no more.

    Raises:
        TrackingError: The server cannot be reached.
    """
    opened = open_suite(suite)
    monitor = monitor_of(opened)
    newest = latest_closed_period(latest_us, monitor.holdout.refresh, monitor.drift.label_delay).number
    holdouts = (read_holdout(tracker, newest - back) for back in range(_PERIODS))
    items = next((found for found in holdouts if found), None)
    if items is None:
        return None
    fetch = make_fetcher(opened, tracker)
    try:
        with TemporaryDirectory() as folder:
            _, live = holdout_task(opened, fetch, items, Path(folder))
        recorded = load_task(opened, fetch)
    except MlbaselineError as error:
        _log.warning("The words of live items are not compared: %s", error)
        return None
    ours = [input_text(opened, example) for example in live.splits["test"].examples]
    theirs = [input_text(opened, example) for split in recorded.splits.values() for example in split.examples]
    return vocabulary_shift(ours, theirs)
