"""Suites over data that a test writes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from mlbaseline.assets import fetch
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import LoadedTask, load_task


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_suite(folder: Path, baselines: dict[str, Any] | None = None, **task: Any) -> Suite:
    """A suite over `data.jsonl` in `folder` with columns text and label, unless told otherwise."""
    content: dict[str, Any] = {
        "name": "made",
        "task": {
            "kind": "choice",
            "data": {"source": "data.jsonl"},
            "columns": {"target": "label"},
            "prompt": "{text} =>",
            "choices": ["no", "yes"],
            "split": {"test": 4},
            **task,
        },
        "baselines": baselines or {"majority": {"kind": "trivial", "strategy": "majority"}},
    }
    # An entry of None is one that this suite leaves out.
    content["task"] = {key: value for key, value in content["task"].items() if value is not None}
    return parse_suite(json.dumps(content), root=folder)


def load(suite: Suite) -> LoadedTask:
    return load_task(suite, partial(fetch, root=suite.root))


def load_rows(folder: Path, rows: list[dict[str, Any]], **options: Any) -> LoadedTask:
    write_jsonl(folder / "data.jsonl", rows)
    return load(make_suite(folder, **options))


def rows_of(number: int, **more: Any) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "label": ("no", "yes")[i % 2], **more} for i in range(number)]
