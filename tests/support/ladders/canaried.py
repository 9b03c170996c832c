"""A champion that is a rule, and a candidate that was trained, compared with it and may be tried on traffic."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from shutil import copytree
from tempfile import mkdtemp

import mlflow
from mlflow.entities import Run

from mlbaseline import workflows
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.suites import fill, reviews_suite
from tests.support.ladders.workplace import write_reviews
from tests.support.models.rule_model import register
from tests.support.traffic import stream

MODEL = "reviews-rule"
SUITE = reviews_suite(
    """
register_as: reviews-rule
seeds: [0]
evaluation: {batch_tokens: 1024, max_length: 128, latency_sample: 2}
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  full: {kind: full, base: zero_shot, epochs: 14, learning_rate: 2.0e-3, batch_size: 8}
  champion: {kind: production, uri: "models:/reviews-rule@champion", optional: true}
matrix: {primary: [{candidate: full, over: [majority, zero_shot, champion]}]}
monitor:
  traffic: {source: files, paths: ["events/*.parquet"]}
  reference: champion
  canary:
    candidate: full
    ramp: [{share: 0.5, hold: 1d}]
    guardrails: {error: {ratio: 1.25}, accuracy: {margin: 0.05}}
"""
)


class Canaried(CheapLadder):
    """A workplace whose ladder is run: `full` won over version 1 of the registered model, which is a rule."""

    @classmethod
    def build(cls, folder: Path, model: Path, uri: str) -> Canaried:
        """Train and compare on the server at `uri`; nothing is promoted."""
        made = cls(folder, uri)
        write_reviews(folder / "reviews.csv")
        made.suite.write_text(fill(SUITE, model=model), encoding="utf-8")
        register(made, "+", "text")
        outcome = workflows.run(made.suite, no_promote=True, tracking_uri=made.uri)
        assert outcome.document["comparison"]["verdict"] == "promote"
        return made

    def copied(self, folder: Path) -> Canaried:
        """The same in another folder, so that each test has a registry of its own."""
        copytree(self.folder, folder, dirs_exist_ok=True)
        return Canaried(folder, f"sqlite:///{folder}/mlflow.db")

    def try_on_traffic(self, experiment: str, accuracy: tuple[float, float], *, start: datetime | None = None) -> None:
        """Ingest the events of a canary. accuracy: of champion and candidate."""
        path = Path(mkdtemp(dir=self.folder)) / "events.parquet"
        frame = stream(
            1_500,
            seed=sum(map(ord, experiment)),
            start=start or datetime.now(timezone.utc),
            days=1e-4,
            share=0.5,
            failure_rate=(0.3, 0.3 if accuracy[1] < accuracy[0] else 0.1),
            accuracy=accuracy,
            labelled=1.0,
        )
        frame.assign(experiment=experiment, label_time=frame["time"]).to_parquet(path)
        workflows.ingest(self.suite, [str(path)], tracking_uri=self.uri)

    def aliases(self) -> dict[str, str]:
        registered = mlflow.MlflowClient(self.uri).get_registered_model(MODEL)
        return {alias: str(number) for alias, number in registered.aliases.items()}

    def records(self, kind: str) -> list[Run]:
        """Completed runs of a kind, the oldest first."""
        client = mlflow.MlflowClient(self.uri)
        experiment = client.get_experiment_by_name("reviews")
        assert experiment is not None
        query = f"tags.`mlbaseline.kind` = '{kind}' and tags.`mlbaseline.status` = 'completed'"
        return list(client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time ASC"]))
