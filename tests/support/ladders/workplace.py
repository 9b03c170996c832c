"""What the tests of the workflows run on."""

from __future__ import annotations

import csv
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.support.checkout import ROOT
from tests.support.ladders.suites import fill, reviews_suite
from tests.support.processes.commands import run_command

SUITE = reviews_suite(
    """
register_as: reviews-label
metrics: [accuracy, macro_f1, nll_nats, ece]
seeds: [0, 1]
evaluation: {batch_tokens: 1024, max_length: 128, latency_sample: 4}
cost: {usd_per_hour: {cpu: 0.10}, queries: 1000}
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  few_shot: {kind: pretrained, model: {source: MODEL}, shots: 2}
  lora: {kind: peft, method: lora, base: zero_shot, epochs: 14, learning_rate: 1.0e-2, batch_size: 8}
  full: {kind: full, base: zero_shot, epochs: 14, learning_rate: 2.0e-3, batch_size: 8}
  champion: {kind: production, uri: "models:/reviews-label@champion", optional: true}
  paper: {kind: external, metric: accuracy, value: 0.8, n: 500, source: a paper}
  annotator: {kind: human, agreement: agreement}
matrix:
  primary:
    - {candidate: lora, over: [majority, zero_shot]}
    - {candidate: full, over: [majority, zero_shot]}
  guardrails:
    - {candidate: lora, over: [majority, champion], slices: [topic], margin: -0.3}
gates: {min_seeds: 2, max_error_rate: 0.0, latency_p95_s: 5.0, cost_per_query_usd: 1.0}
""",
    slices="{topic: {column: review, patterns: {food: soup|bread|cheese}, default: other}}",
)


# One thread: a tiny model's threads would wait for each other longer than they compute.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Workplace:
    """A folder with data and a suite, and a tracking store of its own at `uri`."""

    folder: Path
    uri: str
    suite_name: str = "suite.yaml"

    @property
    def suite(self) -> Path:
        return self.folder / self.suite_name

    def edit(self, old: str, new: str) -> None:
        text = self.suite.read_text(encoding="utf-8")
        assert old in text
        self.suite.write_text(text.replace(old, new), encoding="utf-8")

    def command(self, *arguments: str, expect: int = 0, **environment: str) -> CompletedProcess[str]:
        """Run the command line, and hold it to its exit code."""
        done = run_command([*arguments], self.folder, {**os.environ, **ENVIRONMENT, **environment})
        assert done.returncode == expect, f"exit {done.returncode}, expected {expect}\n{done.stdout}\n{done.stderr}"
        return done

    def document(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        document = json.loads(self.command(*arguments, "--json", expect=expect).stdout)
        assert isinstance(document, dict)
        return document


def write_reviews(path: Path) -> None:
    """264 different reviews whose label even a tiny model can learn from one sign, with the annotators' agreement."""
    rng = random.Random(5)
    signs = {"good": ["+", "*", "^", "!"], "bad": ["-", "#", "~", "?"]}
    things = ["soup", "bread", "cheese", "chair", "lamp", "table", "train", "bus", "hotel", "room", "park"]
    ends = ["today", "again", "as ever"]
    rows = [
        {"label": label, "agreement": rng.choice(["0.6", "0.9", "1", ""]), "review": f"the {thing} {end} {sign}"}
        for label, of_label in signs.items()
        for sign in of_label
        for thing in things
        for end in ends
    ]
    rng.shuffle(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["label", "agreement", "review"])
        writer.writeheader()
        writer.writerows(rows)


def write_suite(path: Path, model: Path) -> Path:
    path.write_text(fill(SUITE, model=model), encoding="utf-8")
    return path
