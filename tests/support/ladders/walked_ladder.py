"""A ladder that was walked once, for tests that change what it left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from mlbaseline import workflows
from mlbaseline.errors import IncomparableError
from mlbaseline.workflows import CommandResult
from tests.support.ladders.suites import reviews_suite
from tests.support.ladders.workplace import Workplace

SUITE = reviews_suite(
    """
metrics: [accuracy, macro_f1]
seeds: [0, 1]
evaluation: {answer_dev: true}
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  rule: {kind: trivial, strategy: keyword, rules: {good: '[+*^!]'}, default: bad}
matrix:
  primary: [{candidate: rule, over: [majority, uniform]}]
  guardrails: [{candidate: rule, over: [majority], slices: [topic], margin: -0.1}]
gates: {confirmatory: true, cost_per_query_usd: 1.0, waive: {MLB102: "rules only, there is no checkpoint"}}
""",
    split="{train: 60, dev: 60, test: 120, seed: 1}",
    slices="{topic: {column: review, patterns: {food: soup|bread|cheese}, default: other}}",
)


@dataclass(frozen=True)
class Walked(Workplace):
    """A ladder that was walked in `folder`. uri: of a copy of its database."""

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri)

    def run_of(self, baseline: str, seed: str = "none", split: str = "test") -> Run:
        tags = {"kind": "evaluation", "baseline": baseline, "seed": seed, "split": split}
        query = " and ".join(f"tags.`mlbaseline.{key}` = '{value}'" for key, value in tags.items())
        experiment = self.client.get_experiment_by_name("reviews")
        assert experiment is not None
        (run,) = self.client.search_runs([experiment.experiment_id], query)
        return run

    def results(self, run: Run) -> Path:
        return Path(run.info.artifact_uri.removeprefix("file://")) / "results"

    def compare(self) -> CommandResult:
        return workflows.compare(self.suite, tracking_uri=self.uri)

    def verdict(self) -> tuple[str, int, str]:
        """Decision, exit code of the gate, and why."""
        outcome = self.compare()
        gated = workflows.gate(self.suite, comparison=outcome.document["comparison_run_id"], tracking_uri=self.uri)
        return outcome.document["verdict"], gated.exit_code, outcome.document["reason"]


def refused(walked: Walked, message: str) -> None:
    with pytest.raises(IncomparableError, match=message) as caught:
        walked.compare()
    assert caught.value.exit_code == 5
