"""A ladder of cheap rungs, beside which results from elsewhere are put."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Run

from mlbaseline.assets import fetch
from mlbaseline.records import TaskData
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import load_task

SUITE = """
name: reviews
task:
  kind: choice
  data: {source: reviews.csv}
  columns: {text: review, target: label}
  prompt: "{text}"
  choices: [bad, good]
  split: {train: 96, dev: 32, test: 120, seed: 1}
metrics: [accuracy, macro_f1]
seeds: [0, 1]
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  majority: {kind: trivial, strategy: majority}
"""
WAIVED = """gates: {waive: {MLB102: "answers from elsewhere, there is no checkpoint"}}
"""


@dataclass(frozen=True)
class CheapLadder:
    """A folder with the data and the suite, and a tracking store of its own."""

    folder: Path
    uri: str

    @property
    def suite(self) -> Path:
        return self.folder / "suite.yaml"

    def write(self, *baselines: str, candidate: str | None = None) -> None:
        """A suite with these baselines (lines of YAML) beside the majority, and the candidate's contrast with it."""
        lines = [SUITE, *(f"  {line}" for line in baselines)]
        if candidate:
            lines.append(f"matrix:\n  primary: [{{candidate: {candidate}, over: [majority]}}]\n{WAIVED}")
        self.suite.write_text("\n".join(lines), encoding="utf-8")

    def test_data(self) -> TaskData:
        suite = load_suite(self.suite)
        return load_task(suite, lambda asset: fetch(asset, root=suite.root)).splits["test"]

    def answers(self, right: Callable[[int], bool]) -> pd.DataFrame:
        """A prediction for each test example, right where `right` says so of its position."""
        examples = self.test_data().examples
        other = {"good": "bad", "bad": "good"}
        said = [e.target if right(position) else other[e.target] for position, e in enumerate(examples)]
        return pd.DataFrame({"example_id": [example.id for example in examples], "prediction": said})

    def run(self, run_id: str) -> Run:
        return mlflow.MlflowClient(self.uri).get_run(run_id)
