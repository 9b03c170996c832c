"""A suite whose answers a judge scores: answers of known quality, a judge that is biased, people who are right."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tests.support.ladders.workplace import Workplace
from tests.support.processes.http_server import Response, chat

N = 160
RUBRIC = "How helpful is the answer?"


class JudgedSuite(Workplace):
    """A workplace with a suite of two recorded rungs, `old` and `new`."""

    def write(self, metric: dict[str, Any], *, candidate: str = "new", margin: float = 0.0) -> None:
        """Write the suite. metric: what stands under `helpful`."""
        content = {
            "name": "answers",
            "task": {
                "kind": "generate",
                "data": {"test": "questions.jsonl"},
                "columns": {"q": "question", "target": "answer", "id": "id"},
                "prompt": "{q}",
            },
            "metrics": ["contains", {"helpful": metric}],
            "baselines": {name: {"kind": "pretrained", "recorded": {"path": f"{name}.csv"}} for name in ("old", "new")},
            "matrix": {"primary": [{"candidate": candidate, "over": ["old"], "metric": "helpful", "margin": margin}]},
            "gates": {"waive": dict.fromkeys(("MLB101", "MLB102"), "answers from elsewhere, and nothing else")},
        }
        self.suite.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def write_answers(self, gain: float = 0.8, seed: int = 0) -> None:
        """Questions, and the answers of both rungs: `level 3 of 5, …`, those of `new` better by `gain` on average."""
        rng = np.random.default_rng(seed)
        base = rng.integers(1, 5, N)
        better = np.clip(base + (rng.random(N) < gain) - (rng.random(N) < 0.1), 1, 5)
        rows = [{"id": f"q{i:03d}", "question": f"What is {i} and {i}?", "answer": str(2 * i)} for i in range(N)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "questions.jsonl").write_text(text, encoding="utf-8")
        for name, levels in (("old", base), ("new", better)):
            style = "so it is" if name == "new" else "that is all"
            answers = [f"level {level} of 5, {style}" for level in levels]
            frame = pd.DataFrame({"example_id": [row["id"] for row in rows], "prediction": answers})
            frame.to_csv(self.folder / f"{name}.csv", index=False)


def endpoint(url: str, **options: Any) -> dict[str, Any]:
    return {"url": url, "protocol": "chat", "model": "judge", "retries": 0, **options}


def level_of(text: str) -> int:
    found = re.search(r"level (\d)", text)
    assert found is not None
    return int(found[1])


def biased_judge(body: Any) -> Response:
    """A judge that loves the candidate's style: one level more for it, at most 5."""
    text = str(body["messages"][-1]["content"])
    level = min(5, level_of(text) + ("so it is" in text))
    return chat(str(level), prompt_tokens=100, completion_tokens=1)


def first_lover(body: Any) -> Response:
    """A judge of two answers that takes the first unless the second is two levels better."""
    text = str(body["messages"][-1]["content"])
    first, second = (level_of(part) for part in re.split(r"answer B\]", text)[-2:])
    return chat("B" if second > first + 1 else "A", prompt_tokens=150, completion_tokens=1)


def fill_in(sheet: Path, label: Callable[[dict[str, str]], str], output: Path, annotator: str = "kim") -> None:
    """Fill in a sheet as an annotator does. label: row ─▶ label."""
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "annotator": annotator, "label": label(row)} for row in rows)


def true_level(row: dict[str, str]) -> str:
    return str(level_of(row["answer"]))


def better_one(row: dict[str, str]) -> str:
    first, second = level_of(row["answer_A"]), level_of(row["answer_B"])
    return "tie" if first == second else "A" if first > second else "B"
