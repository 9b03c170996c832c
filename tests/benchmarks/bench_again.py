"""Do evaluations of the same weights agree on cost and latency? python -m tests.benchmarks.bench_again

An A/A test: one model is evaluated several times while the load of the machine changes, made by processes that spin.
The weights are the same, so all figures should be. Counted are the pairs of evaluations whose 95 % intervals overlap,
for figures in seconds and in units of the reference workload that is timed beside the answers, and for seconds with
each row as an observation of its own, as before batches were recorded. Exit code 1 if fewer than 95 % of the pairs
overlap in units of the reference.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import mlbaseline
from mlbaseline import store
from mlbaseline.judge.cost.estimates import answer_usd, cost_of
from mlbaseline.judge.cost.metered import MeteredEvaluation
from mlbaseline.records import Bounds, Cost
from mlbaseline.stats import estimate_mean
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import load_suite
from tests.benchmarks.json_results import add_json_option, write_results
from tests.support.models.tiny_models import write_tiny_model

SPINNING = (0, 1, 2, 0, 1)
"""Processes that spin during each evaluation."""
NEEDED = 0.95
SUITE = """
name: again
task:
  kind: choice
  data: {source: data.csv}
  columns: {text: text, target: label}
  prompt: "Tweet: {text}\\nSentiment:"
  choices: [negative, neutral, positive]
  split: {test: ROWS, seed: 1}
metrics: [accuracy]
seeds: [0]
evaluation: {batch_tokens: 1024, latency_sample: 120, precision: fp32}
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  model: {kind: pretrained, model: {source: MODEL}}
"""
_WORDS = (
    "flight",
    "late",
    "crew",
    "wonderful",
    "seat",
    "bag",
    "lost",
    "coffee",
    "thank",
    "you",
    "never",
    "best",
    "bad",
)


@dataclass(frozen=True)
class Share:
    """How many pairs of evaluations overlap in a figure, and the largest ratio of two of its values."""

    figure: str
    pairs: int
    overlapping: int
    largest_ratio: float

    @property
    def share(self) -> float:
        return self.overlapping / self.pairs


def write_data(folder: Path, rows: int) -> None:
    """Tweets of 2 to 40 words, drawn."""
    rng = np.random.default_rng(0)
    lines = ["text,label"]
    for i in range(rows):
        words = rng.choice(_WORDS, size=rng.integers(2, 40))
        lines.append(f"{i} {' '.join(words)},{('negative', 'neutral', 'positive')[i % 3]}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _spin() -> None:
    while True:
        sum(range(10_000))


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep so many processes busy during the block."""
    spinning = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(processes)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.terminate()
            process.join()


def evaluate_under_load(folder: Path, spinning: Sequence[int]) -> tuple[Suite, list[MeteredEvaluation]]:
    """Evaluate the same weights once for each number of spinning processes."""
    uri, suite = f"sqlite:///{folder}/mlflow.db", load_suite(folder / "suite.yaml")
    runs = []
    for processes in spinning:
        with load(processes):
            outcome = mlbaseline.evaluate(folder / "suite.yaml", fresh=True, tracking_uri=uri)
        runs.append(outcome.document["evaluations"][0]["run_id"])
    tracker = store.connect(uri, suite.name)
    found = {run.run_id: run for run in store.find_evaluations(tracker)}
    evaluations = store.load_evaluations(tracker, [found[run_id] for run_id in runs], cache=folder / "tables")
    return suite, [MeteredEvaluation.of(evaluation) for evaluation in evaluations]


def compared(suite: Suite, runs: Sequence[MeteredEvaluation]) -> list[Share]:
    """Every figure of all pairs."""
    costs = [cost_of(suite, [run]) for run in runs]
    figures: dict[str, list[tuple[float, Bounds]]] = {
        "cost, USD, each row an observation": [_by_row(suite, run) for run in runs],
        "cost, USD": [(cost.usd_per_query or 0.0, cost.bounds["usd_per_query"]) for cost in costs],
        "latency p50, s": [(cost.latency_p50_s or 0.0, cost.bounds["latency_p50_s"]) for cost in costs],
        "latency p95, s": [(cost.latency_p95_s or 0.0, cost.bounds["latency_p95_s"]) for cost in costs],
        "cost, × reference": _relative(costs, "compute"),
        "latency p50, × reference": _relative(costs, "latency_p50"),
        "latency p95, × reference": _relative(costs, "latency_p95"),
    }
    return [_overlaps(figure, found) for figure, found in figures.items()]


def _by_row(suite: Suite, run: MeteredEvaluation) -> tuple[float, Bounds]:
    usd = answer_usd(suite, run)
    assert usd is not None
    found = estimate_mean(usd / usd.max())
    return found.value, Bounds(found.low, found.high)


def _relative(costs: Sequence[Cost], figure: str) -> list[tuple[float, Bounds]]:
    return [(cost.relative[figure].value, cost.relative[figure].bounds) for cost in costs]


def _overlaps(figure: str, found: Sequence[tuple[float, Bounds]]) -> Share:
    pairs = list(itertools.combinations([bounds for _, bounds in found], 2))
    values = [value for value, _ in found]
    together = sum(_low(a) <= _high(b) and _low(b) <= _high(a) for a, b in pairs)
    return Share(figure, len(pairs), together, max(values) / min(values))


def _low(bounds: Bounds) -> float:
    return -np.inf if bounds.low is None else bounds.low


def _high(bounds: Bounds) -> float:
    return np.inf if bounds.high is None else bounds.high


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=4, help="how often the five evaluations are made")
    parser.add_argument("--width", type=int, default=256, help="of the model, which has two layers")
    parser.add_argument("--model", help="a model in place of the one that is made up, as in `model.source`")
    add_json_option(parser)
    arguments = parser.parse_args()
    totals: dict[str, list[Share]] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["MLBASELINE_CACHE"] = str(folder / "cache")
        os.chdir(folder)  # where MLflow puts its artifacts
        write_data(folder, arguments.rows)
        model = arguments.model or str(write_tiny_model(_empty(folder / "model"), arguments.width))
        text = SUITE.replace("ROWS", str(arguments.rows)).replace("MODEL", model)
        (folder / "suite.yaml").write_text(text, encoding="utf-8")
        for _ in range(arguments.repeats):
            for share in compared(*evaluate_under_load(folder, SPINNING)):
                totals.setdefault(share.figure, []).append(share)
    shares = [
        Share(figure, sum(s.pairs for s in each), sum(s.overlapping for s in each), max(s.largest_ratio for s in each))
        for figure, each in totals.items()
    ]
    print("| figure | pairs | overlap | largest ratio of two |\n| --- | ---: | ---: | ---: |")
    for share in shares:
        print(f"| {share.figure} | {share.pairs} | {share.share:.0%} | {share.largest_ratio:.2f} |")
    write_results(arguments.json, "again", shares)
    return 0 if all(share.share >= NEEDED for share in shares if "reference" in share.figure) else 1


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
