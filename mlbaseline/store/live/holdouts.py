"""Versions of the holdout as MLflow evaluation datasets: one a period, and the anchor items, which never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.monitor.holdout import HoldoutItem, items_digest
from mlbaseline.results import SLICE
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX

if TYPE_CHECKING:
    from mlflow.entities import EvaluationDataset

ANCHOR = "anchor"
_SHA256, _REQUEST = PREFIX + "holdout_sha256", PREFIX + "request_id"
_TARGET = "target"


def holdout_name(suite: str, version: int | str) -> str:
    """Name the dataset of a period (its number), or of the anchor items."""
    return f"{suite}-{ANCHOR}" if version == ANCHOR else f"{suite}-holdout-{version}"


def read_holdout(tracker: Tracker, version: int | str) -> list[HoldoutItem] | None:
    """Read a version of the suite's holdout.

    Args:
        tracker: The server and the suite's experiment.
        version: Number of a period, or ANCHOR.

    Returns:
        Its items; None where it has not been written, or not to its end.

    Raises:
        TrackingError: It has other items than it was written with.
    """
    name = holdout_name(tracker.experiment, version)
    with reporting(f"read the dataset {name!r}", tracker.uri):
        dataset = _find(tracker, name)
        records = [] if dataset is None else dataset.records
        tags = {} if dataset is None else dataset.tags
    if not records:
        return None
    items = [
        HoldoutItem(
            record.tags.get(_REQUEST, ""),
            record.inputs,
            str((record.expectations or {}).get(_TARGET, "")),
            {
                key.removeprefix(PREFIX + SLICE): value
                for key, value in record.tags.items()
                if key.startswith(PREFIX + SLICE)
            },
        )
        for record in records
    ]
    if items_digest(items) != tags.get(_SHA256):
        raise TrackingError(
            f"{tracker.uri}: the dataset {name!r} has other items than it was written with (expected the digest "
            f"{str(tags.get(_SHA256))[:12]}…, got {items_digest(items)[:12]}…). A version of the holdout does not "
            "change: delete it, and the next snapshot writes it again."
        )
    return items


def write_holdout(tracker: Tracker, version: int | str, items: Sequence[HoldoutItem]) -> None:
    """Write a version of the suite's holdout. One that was begun and not finished is finished. Raises TrackingError."""
    name = holdout_name(tracker.experiment, version)
    tags = {PREFIX + "suite": tracker.experiment, PREFIX + "holdout": str(version), _SHA256: items_digest(list(items))}
    records = [
        {
            "inputs": dict(item.inputs),
            "expectations": {_TARGET: item.target},
            "tags": {
                _REQUEST: item.request_id,
                **{f"{PREFIX}{SLICE}{key}": value for key, value in item.slices.items()},
            },
        }
        for item in items
    ]
    with reporting(f"write the dataset {name!r}", tracker.uri):
        dataset = _find(tracker, name)
        if dataset is None:
            dataset = tracker.client.create_dataset(name, experiment_id=tracker.experiment_id, tags=tags)
        else:
            tracker.client.set_dataset_tags(dataset.dataset_id, tags)
        dataset.merge_records(records)


def _find(tracker: Tracker, name: str) -> EvaluationDataset | None:
    found = tracker.client.search_datasets([tracker.experiment_id], filter_string=f"name = '{name}'", max_results=1)
    return found[0] if found else None
