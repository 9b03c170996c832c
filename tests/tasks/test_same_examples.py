"""Examples have the ids, digests and order that they had when each of them was a Python object of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.records import digest_of
from mlbaseline.suite import Weighting
from mlbaseline.tasks import LoadedTask
from tests.support.ladders.written_data import load, make_suite, rows_of, write_jsonl

BLOCK_ROWS = 4096
ODD_VALUES = [None, 1, 1.0, -0.0, 2.5e-9, True, 2**70, "1", "", " ", "é\u2028\U0001f600", 'q"\\\x01\x7f']
ODD_VALUES += [[1, {"b": None, "a": 2}], {"k": "ﬁ", "a": []}]
"""Of every type that JSON has."""


def digest_of_all(task: LoadedTask) -> str:
    """Of every example in its order, of the digests of the splits, and of how many rows were left out."""
    examples = {
        split: [
            [e.id, json.dumps(dict(e.fields)), e.target, e.choices, e.cluster, e.slices, e.references, e.weight]
            for e in data.examples
        ]
        for split, data in task.splits.items()
    }
    digests = {split: data.digest for split, data in task.splits.items()}
    return digest_of([examples, digests, dict(task.counts), task.files])[:16]


def load_file(folder: Path, rows: list[dict[str, Any]], **task: Any) -> LoadedTask:
    write_jsonl(folder / "data.jsonl", rows)
    return load(make_suite(folder, **task))


def odd_values(folder: Path) -> LoadedTask:
    rows = [{**row, "odd": ODD_VALUES[n % len(ODD_VALUES)], "n": n} for n, row in enumerate(rows_of(60))]
    rows += [{"text": f"late {n}", "label": "no", "new": n / 4} for n in range(4)]
    rows += [{"text": "", "label": "no"}, {"text": "TEXT  3", "label": "no"}, {"text": "text 3", "label": "yes"}]
    return load_file(folder, rows, split={"train": 0.3, "dev": 4, "test": 30, "seed": 7})


def clusters_and_slices(folder: Path) -> LoadedTask:
    rows = [
        {**row, "text": "x" * (n % 6) + f" {n}", "user": f"u{n % 9}" if n % 4 else None, "size": n % 7 / 6}
        for n, row in enumerate(rows_of(80))
    ]
    slices = {
        "topic": {"column": "text", "patterns": {"even": "[02468]$"}, "default": "odd"},
        "size": {"column": "size", "bins": [0, 0.5, 1], "labels": ["small", "large"]},
        "length": {"column": "text", "quantiles": 2},
        "user": {"column": "user"},
        "class": {"target": True},
    }
    columns = {"target": "label", "cluster": "user", "shown": "text"}
    split = {"train": 0.3, "test": 0.4}
    return load_file(folder, rows, slices=slices, columns=columns, prompt="{shown} =>", split=split)


def choices_of_their_own(folder: Path) -> LoadedTask:
    rows = [{"q": f"q{n}", "a": f"a{n}", "b": n, "label": n % 2, "key": n * 3} for n in range(40)]
    rows[5]["b"] = None
    columns = {"target": "label", "choices": ["a", "b"], "id": "key"}
    return load_file(folder, rows, choices=None, prompt="{q}", columns=columns, split={"train": 10, "test": 20})


def references(folder: Path) -> LoadedTask:
    answers: list[Any] = [["Paris", "paris"], "Rome", 42, ["x"], 1.0]
    rows = [{"text": f"q{n}", "answers": answers[n % 5]} for n in range(30)]
    columns = {"target": "answers"}
    return load_file(folder, rows, kind="generate", choices=None, columns=columns, split={"test": 1.0})


def texts(folder: Path) -> LoadedTask:
    rows = [{"text": f"text {n}\n" * (n % 3 + 1), "source": "ab"[n % 2]} for n in range(30)]
    write_jsonl(folder / "data.jsonl", rows)
    task = {"kind": "perplexity", "choices": None, "columns": {"text": "text"}, "prompt": None}
    slices = {"source": {"column": "source"}}
    baselines = {"uniform": {"kind": "trivial", "strategy": "uniform"}}
    return load(make_suite(folder, baselines, **task, slices=slices, split={"train": 5, "test": 20}))


def weights(folder: Path) -> LoadedTask:
    write_jsonl(folder / "data.jsonl", [{**row, "w": n / 3 + 1} for n, row in enumerate(rows_of(30))])
    suite = make_suite(folder, slices={"class": {"target": True}}, split={"train": 5, "test": 20})
    matrix = suite.matrix.model_copy(update={"weights": Weighting(column="w")})
    return load(suite.model_copy(update={"matrix": matrix}))


def a_file_for_each_split(folder: Path) -> LoadedTask:
    for split, first in (("train", 0), ("dev", 20), ("test", 30)):
        rows = [
            {
                **row,
                "text": f"text {first + n}",
                "user": f"{split[0]}{n % 5}" if n % 3 else "shared" if n == 9 else None,
            }
            for n, row in enumerate(rows_of(25))
        ]
        write_jsonl(folder / f"{split}.jsonl", [*rows, *({**row, "n": n} for n, row in enumerate(rows[:4] * 2))])
    data = {split: f"{split}.jsonl" for split in ("train", "dev", "test")}
    return load(make_suite(folder, data=data, split=None, columns={"target": "label", "cluster": "user"}))


def more_than_a_block(folder: Path) -> LoadedTask:
    """An odd header, quotes, a ragged row, a label that is spelt otherwise."""
    n_rows = 2 * BLOCK_ROWS + 9
    lines = ["text, Größe {x} ,label"]
    lines += [f'"text ""{n}"" é",{n % 50},{"NO" if n % 3 else "yes"}' for n in range(n_rows)]
    (folder / "data.csv").write_text("\n".join([*lines, "short"]) + "\n", encoding="utf-8")
    slices = {"n": {"column": " Größe {x} ", "quantiles": 3}}
    data = {"source": "data.csv", "max_ragged": 0.1}
    split = {"train": 0.3, "test": 0.6}
    return load(make_suite(folder, data=data, slices=slices, split=split, target_map={"NO": "no"}))


def types_that_change(folder: Path) -> LoadedTask:
    """A column of integers that is one of texts, and then of objects, some blocks later."""
    values: list[Any] = [n if n < BLOCK_ROWS + 5 else str(n) for n in range(2 * BLOCK_ROWS)]
    rows = [{"text": f"text {n}", "label": "no", "value": value} for n, value in enumerate([*values, {"a": 1}])]
    return load_file(folder, rows, split={"test": 0.9})


@pytest.mark.usefixtures("where_tables_lie")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (odd_values, "682b9b14a85d19ac"),
        (clusters_and_slices, "c790018365805d88"),
        (choices_of_their_own, "e1ac74cd1e31e1eb"),
        (references, "ea7e3772281a1575"),
        (texts, "96a9587ea7081a2f"),
        (weights, "a8f86a755a78ec71"),
        (a_file_for_each_split, "b973042c3764ab50"),
        (more_than_a_block, "27f75b43dbf02340"),
        (types_that_change, "8b5c26cb2f68c6b4"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_same_examples(tmp_path: Path, make: Callable[[Path], LoadedTask], expected: str) -> None:
    assert digest_of_all(make(tmp_path)) == expected
