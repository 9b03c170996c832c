"""A ladder of cheap rungs, beside which results from elsewhere are put."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mlflow
import pandas as pd
from mlflow.entities import Run

from mlbaseline.assets import fetch
from mlbaseline.records import TaskData
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.suites import reviews_suite
from tests.support.ladders.workplace import Workplace

SUITE = reviews_suite(
    """
metrics: [accuracy, macro_f1]
seeds: [0, 1]
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  majority: {kind: trivial, strategy: majority}
""",
)
WAIVED = """gates: {waive: {MLB102: "answers from elsewhere, there is no checkpoint"}}
"""


@dataclass(frozen=True)
class CheapLadder(Workplace):
    """A workplace whose suite has one cheap rung; a test puts results from elsewhere beside it."""

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
