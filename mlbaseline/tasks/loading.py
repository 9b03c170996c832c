"""The way from a suite's data to the examples of its splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from mlbaseline import formats
from mlbaseline.assets import FetchedAsset
from mlbaseline.progress import preparing
from mlbaseline.records import (
    BLOCK_ROWS,
    Example,
    ExampleTable,
    TaskData,
    by_id,
    canonical_json,
    release_unused_memory,
)
from mlbaseline.suite import SPLITS, Asset, DataSource, Split, Suite, Task
from mlbaseline.tasks.data_files import TEXT_FORMATS, DataTable, FileOptions, read_table
from mlbaseline.tasks.examples import CONTENT, LeftOut, build_candidates, check_columns
from mlbaseline.tasks.slicing import slice_examples
from mlbaseline.tasks.splitting import draw, drop_duplicates, keep_apart
from mlbaseline.tasks.targets import MakeTargetReader
from mlbaseline.tasks.weighing import weigh_examples

Fetch = Callable[[Asset], FetchedAsset]
"""Brings a file or folder to this machine."""


FEW_EXAMPLES = 20
"""Fewer test examples than this are reported: intervals are then too wide to decide much."""


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """splits: the examples by split; one that the suite has no use for is absent, `test` never is.

    counts: what was read, repaired and left out on the way, over all files: rows_read (ragged ones included),
    replaced_characters (broken bytes), dropped_ragged, dropped_without_target, dropped_empty_prompt,
    dropped_empty_choice, dropped_duplicates, dropped_shared_clusters, left_over (usable, but drawn for no split).

    files: what each file is (its name, format, encoding and number of rows), by split, or as `source`.
    """

    splits: Mapping[Split, TaskData]
    counts: Mapping[str, int]
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where in the files characters were replaced and rows left out, and a very small test, for a person."""
        return self.splits["test"].notes


def load_files(suite: Suite, fetch: Fetch, make_reader: MakeTargetReader) -> LoadedTask:
    """Read, clean, split and slice the data files of a suite.

    With one source, examples stand in the order drawn; with a file per split, in the order of the file.

    Args:
        suite: The suite.
        fetch: Brings a data file to this machine.
        make_reader: Makes the reader of the target column.

    Raises:
        AssetError: A file cannot be had.
        DataError: A file does not hold what the suite needs.
    """
    task = suite.task
    data = task.data
    files = _data_files(data).items()
    tables = {name: read_table(fetch(asset).path, data.format, FileOptions.of(data)) for name, asset in files}
    described = {name: _describe(table, data) for name, table in tables.items()}
    check_columns(suite, tables)
    counts = _counts_of(tables)
    left_out = LeftOut(counts, [note for table in tables.values() for note in table.notes])
    candidates = build_candidates(task, tables, left_out, make_reader)
    del tables  # of a million rows, each stage takes hundreds of megabytes
    chosen = _choose_examples(task, candidates, counts)
    del candidates
    notes = left_out.notes
    if len(chosen["test"]) < FEW_EXAMPLES:
        n = formats.counted(len(chosen["test"]), "example")
        notes.append(f"the split test has {n}; with fewer than {FEW_EXAMPLES} hardly any difference shows")
    loaded = slice_splits(suite, chosen, counts)
    del chosen
    release_unused_memory()
    splits = {split: replace(data, notes=tuple(notes)) for split, data in loaded.splits.items()}
    return replace(loaded, splits=splits, files=described)


def slice_splits(suite: Suite, splits: Mapping[Split, Sequence[Example]], counts: Mapping[str, int]) -> LoadedTask:
    """Cut the examples of each split into slices, weigh those of the test, and digest them.

    Raises:
        DataError: As `slice_examples` and `weigh_examples`.
    """
    task, weighting = suite.task, suite.matrix.weights
    sliced = slice_examples(task.slices, splits)
    if weighting is not None:
        sliced["test"] = weigh_examples(sliced["test"], weighting)
    return LoadedTask({split: _task_data(split, group, task.labels) for split, group in sliced.items()}, dict(counts))


def _choose_examples(
    task: Task, candidates: Mapping[str, ExampleTable], counts: Counter[str]
) -> dict[Split, ExampleTable]:
    """Return the examples of each split, not yet sliced."""
    if task.split is not None:
        unique = drop_duplicates(candidates["source"])
        counts["dropped_duplicates"] = len(candidates["source"]) - len(unique)
        chosen = draw(unique, task.split, counts)
        counts["left_over"] = len(unique) - sum(map(len, chosen.values()))
    else:
        chosen = keep_apart({split: candidates[split] for split in SPLITS if split in candidates}, counts)
    return {split: examples.over(examples.table.drop_columns([CONTENT])) for split, examples in chosen.items()}


def _data_files(data: DataSource) -> dict[str, Asset]:
    if data.source is not None:
        return {"source": Asset(source=data.source, sha256=data.sha256)}
    named = {split: getattr(data, split) for split in SPLITS}
    return {split: Asset(source=source) for split, source in named.items() if source is not None}


def _describe(table: DataTable, data: DataSource) -> str:
    """Say what a file is, as in `tickets.csv: csv, UTF-8, 1,200 rows`."""
    facts = [table.format, formats.counted(len(table.rows) + table.ragged, "row")]
    if table.format in TEXT_FORMATS:
        facts.insert(1, data.encoding or "UTF-8")
    return f"{table.path.name}: {', '.join(facts)}"


def _counts_of(tables: Mapping[str, DataTable]) -> Counter[str]:
    return Counter(
        rows_read=sum(len(table.rows) + table.ragged for table in tables.values()),
        replaced_characters=sum(table.replaced_characters for table in tables.values()),
        dropped_ragged=sum(table.ragged for table in tables.values()),
        dropped_without_target=0,
        dropped_empty_prompt=0,
        dropped_empty_choice=0,
        dropped_duplicates=0,
        dropped_shared_clusters=0,
        left_over=0,
    )


def _task_data(split: Split, examples: Sequence[Example], labels: tuple[str, ...]) -> TaskData:
    return TaskData(split, examples, labels, _digest(split, examples, labels))


def _digest(split: str, examples: Sequence[Example], labels: tuple[str, ...]) -> str:
    """Digest everything that is known of the examples, in the order of their ids.

    It is the digest of `{"labels": labels, "examples": [...]}`, but a million examples never stand in memory as JSON.
    """
    digest = hashlib.sha256(b'{"examples":[')
    contents = map(_content, preparing(by_id(examples), f"Hashing {split}"))
    separator = b""
    while block := list(islice(contents, BLOCK_ROWS)):
        digest.update(separator + canonical_json(block)[1:-1])  # without its brackets
        separator = b","
    digest.update(b'],"labels":' + canonical_json(labels) + b"}")
    return digest.hexdigest()


def _content(e: Example) -> list[Any]:
    # References only where there are some: data without them keeps the digest that it has always had.
    references = [e.references] if e.references else []
    return [e.id, e.fields, e.target, e.choices, e.cluster, e.slices, *references]
