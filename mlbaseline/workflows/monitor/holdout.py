"""Versions of the holdout: read from the server, or sampled from the traffic and written there."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline import store
from mlbaseline.errors import DataError, MlbaselineError
from mlbaseline.monitor import DAY_US
from mlbaseline.monitor.drift.vocabulary import VocabularyShift, vocabulary_shift
from mlbaseline.monitor.event_rows import EPOCH
from mlbaseline.monitor.holdout import HoldoutItem, Period, Reservoir, file_items, latest_closed_period, stratum_of
from mlbaseline.records import digest_of
from mlbaseline.store.live import ANCHOR, read_holdout, trace_items, write_holdout
from mlbaseline.suite import DataSource, Monitor, Suite
from mlbaseline.tasks import Fetch, LoadedTask, load_task, open_suite
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.comparisons.answered_data import input_text
from mlbaseline.workflows.monitor.ingestion import matching_files
from mlbaseline.workflows.monitor.ledgers import monitor_of

_REQUEST_ID = "mlbaseline.request_id"
_PERIODS = 2
"""How many closed periods are looked back on: the newest one may have no snapshot yet."""
_log = logging.getLogger("mlbaseline")


@dataclass(frozen=True)
class Holdout:
    """The items of a period, and those that never change; they have none in common."""

    items: Sequence[HoldoutItem]
    anchor: Sequence[HoldoutItem]


def prepare_holdout(suite: Suite, monitor: Monitor, tracker: store.Tracker, period: Period) -> Holdout:
    """Read the holdout of a period, or sample it from the traffic of these days and write it.

    Raises:
        DataError: The traffic of the period has no labelled item.
        TrackingError: The server cannot be reached, or a stored version has been changed.
    """
    items, anchor = read_holdout(tracker, period.number), read_holdout(tracker, ANCHOR)
    if items is not None and (anchor is not None or not monitor.holdout.anchor):
        return Holdout(items, anchor or [])
    n_anchor = 0 if anchor is not None else monitor.holdout.anchor
    sampled = _different(_sample(suite, monitor, tracker, period, monitor.holdout.size + n_anchor))
    if not sampled:
        first, last = (EPOCH + timedelta(days=day) for day in (period.first_day, period.last_day))
        raise DataError(
            f"{suite.name}: the traffic from {first:%Y-%m-%d} to {last:%Y-%m-%d} has no item with its inputs and the "
            "right answer. A file needs the columns input.<column> and target, a trace its inputs and an expectation "
            f"named {suite.task.columns.target!r}."
        )
    # The smallest hashes: a random part.
    n_anchor = min(n_anchor, len(sampled) // 2)
    if anchor is None and n_anchor:
        anchor = sampled[:n_anchor]
        write_holdout(tracker, ANCHOR, anchor)
    fixed = {item.request_id for item in anchor or ()}
    items = [item for item in sampled if item.request_id not in fixed][: monitor.holdout.size]
    write_holdout(tracker, period.number, items)
    return Holdout(items, anchor or [])


def _sample(suite: Suite, monitor: Monitor, tracker: store.Tracker, period: Period, size: int) -> list[HoldoutItem]:
    if monitor.traffic.source == "mlflow":
        assert monitor.traffic.experiment is not None  # the suite is valid
        return trace_items(
            tracker,
            monitor.traffic.experiment,
            since=EPOCH + timedelta(days=period.first_day),
            until=EPOCH + timedelta(microseconds=(period.last_day + 1) * DAY_US),
            target=suite.task.columns.target,
            watched=monitor.slices,
            size=size,
        )
    reservoir: Reservoir[HoldoutItem] = Reservoir(size)
    for path in matching_files(monitor, suite.root):
        for item in file_items(path, period):
            reservoir.add(stratum_of(item.slices, monitor.slices), item.request_id, item)
    return reservoir.sample()


def _different(items: Sequence[HoldoutItem]) -> list[HoldoutItem]:
    """Leave out items that ask what another one asks: MLflow keeps one record for equal inputs."""
    return list({digest_of(item.inputs): item for item in reversed(items)}.values())[::-1]


def holdout_task(suite: Suite, fetch: Fetch, items: Sequence[HoldoutItem], folder: Path) -> tuple[Suite, LoadedTask]:
    """Put items in the place of a suite's test split.

    Args:
        suite: The suite.
        fetch: Brings a data file to this machine.
        items: The items.
        folder: Where their file is written.

    Returns:
        The suite whose test split they are, and its examples; each is named by its request.

    Raises:
        DataError: The items lack a column that the task needs, or a target is none of its choices.
    """
    path = folder / "holdout.jsonl"
    target = suite.task.columns.target
    with path.open("w", encoding="utf-8") as file:
        for item in items:
            row = {**item.inputs, target: item.target, _REQUEST_ID: item.request_id}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    columns = suite.task.columns.model_copy(update={"id": _REQUEST_ID, "cluster": None})
    data = DataSource(test=str(path.resolve()), format="jsonl")
    changes: dict[str, object] = {"data": data, "split": None, "slices": {}, "columns": columns}
    on_items = suite.model_copy(update={"task": suite.task.model_copy(update=changes)})
    loaded = load_task(on_items, fetch)
    if any(name in suite_splits(suite) for name in ("train", "dev")):
        others = load_task(suite, fetch)  # few-shot examples, and what a trivial rule learns
        loaded = replace(loaded, splits={**others.splits, "test": loaded.splits["test"]})
    return on_items, loaded


def suite_splits(suite: Suite) -> Iterator[str]:
    """Names of the splits beside `test` that a suite has."""
    split, data = suite.task.split, suite.task.data
    for name in ("train", "dev"):
        if getattr(split or data, name):
            yield name


def find_vocabulary_shift(suite: str | Path, tracker: store.Tracker, latest_us: int) -> VocabularyShift | None:
    """Compare the newest holdout that a snapshot has left with the suite's data.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        tracker: The tracking server, at the suite's experiment.
        latest_us: Time of the newest event, microseconds since 1970.

    Returns:
        The shift; None where there is no holdout, or something cannot be had: it is an explanation and no more.
    """
    try:
        opened = open_suite(suite)
        monitor, fetch = monitor_of(opened), make_fetcher(opened, tracker)
        newest = latest_closed_period(latest_us, monitor.holdout.refresh, monitor.drift.label_delay).number
        holdouts = (read_holdout(tracker, newest - back) for back in range(_PERIODS))
        items = next((found for found in holdouts if found), None)
        if items is None:
            return None
        with TemporaryDirectory() as folder:
            _, live = holdout_task(opened, fetch, items, Path(folder))
        recorded = load_task(opened, fetch)
    except MlbaselineError as error:
        _log.warning("The words of live items are not compared: %s", error)
        return None
    ours = [input_text(opened, example) for example in live.splits["test"].examples]
    theirs = [input_text(opened, example) for split in recorded.splits.values() for example in split.examples]
    return vocabulary_shift(ours, theirs)
