"""MLflow's evaluation datasets ─▶ a file that a task's data may be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from mlbaseline.cache import cache_dir
from mlbaseline.errors import TrackingError
from mlbaseline.records import digest_of
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.untrusted import excerpt

if TYPE_CHECKING:
    from mlflow.entities import DatasetRecord, EvaluationDataset

SCHEME = "datasets:/"
_ID = re.compile(r"d-[0-9a-f]{32}")
_UNUSUAL = re.compile(r"[^\w.-]")
_OF_MLFLOW = "mlflow."
"""Beginning of the names of tags that MLflow sets by itself, such as who wrote a record."""


def fetch_dataset(server: Server, uri: str) -> Path:
    """Write the records of an evaluation dataset to a file in this machine's cache, as they are now.

    A record is a line of JSON. Its columns are `record_id`, `inputs.NAME`, `expectations.NAME`, `tags.NAME` and
    `outputs`. The lines stand in the order of their ids, so that the same records are the same file.

    Args:
        server: Where the dataset lies.
        uri: `datasets:/NAME`, or `datasets:/ID` where several have that name.

    Returns:
        The file; its name is that of the dataset.

    Raises:
        TrackingError: There is no such dataset, several have the name, or it has no records.
    """
    with reporting(f"read {uri}", server.uri):
        dataset = _find(server, uri)
        records = sorted(dataset.records, key=lambda record: str(record.dataset_record_id))
    if not records:
        raise TrackingError(f"{server.uri}: {uri} has no records; expected one for each example")
    folder = cache_dir() / "references" / digest_of([server.uri, dataset.dataset_id])[:32]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_UNUSUAL.sub('_', dataset.name)[:100]}.jsonl"
    with NamedTemporaryFile("w", dir=folder, encoding="utf-8", delete=False) as file:
        for record in records:
            file.write(json.dumps(dict(_columns(record)), ensure_ascii=True, sort_keys=True) + "\n")
    return Path(file.name).replace(path)


def _find(server: Server, uri: str) -> EvaluationDataset:
    name = uri.removeprefix(SCHEME)
    if _ID.fullmatch(name):
        return server.client.get_dataset(name)
    quote = '"' if "'" in name else "'"
    found = list(server.client.search_datasets(filter_string=f"name = {quote}{name}{quote}", max_results=2))
    if not found:
        raise TrackingError(f"{server.uri}: has no evaluation dataset called {_shown(name)}{_there_is(server)}")
    if len(found) > 1:
        raise TrackingError(
            f"{server.uri}: several evaluation datasets are called {_shown(name)}. Name one by its id: "
            + " or ".join(f"{SCHEME}{dataset.dataset_id}" for dataset in found)
        )
    return found[0]


def _there_is(server: Server) -> str:
    names = sorted({dataset.name for dataset in server.client.search_datasets(max_results=10)})
    return f"; it has: {', '.join(map(_shown, names))}" if names else ", nor any other"


def _shown(name: str) -> str:
    return excerpt(repr(name), 120)


def _columns(record: DatasetRecord) -> Iterator[tuple[str, Any]]:
    yield "record_id", record.dataset_record_id
    parts: Mapping[str, Mapping[str, Any] | None] = {
        "inputs": record.inputs,
        "expectations": record.expectations,
        "tags": {name: value for name, value in (record.tags or {}).items() if not name.startswith(_OF_MLFLOW)},
    }
    for part, values in parts.items():
        yield from ((f"{part}.{name}", value) for name, value in (values or {}).items())
    if record.outputs not in (None, {}):  # mlflow 3.17 and 3.18 give {} where there are none
        yield "outputs", record.outputs
