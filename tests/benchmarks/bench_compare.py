"""How long `mlbaseline compare` takes over HTTP: python -m tests.benchmarks.bench_compare [RUNS] [EXAMPLES]

Starts a real `mlflow server`, logs the evaluation runs as workflows do (answers are made up), and times the command in
a process of its own, first with an empty cache and then with the tables already there. Prints seconds and peak memory,
beside what the project promises for 200 runs of 10,000 examples: 60 s and 3 GB on two cores.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mlbaseline.engine.rungs import describe_baseline
from mlbaseline.judge.cost.estimates import cost_of
from mlbaseline.judge.cost.metered import MeteredEvaluation
from mlbaseline.judge.standing import measure_overall, measure_slices
from mlbaseline.metrics import add_scores
from mlbaseline.records import Example, Signature, TaskData
from mlbaseline.results import ResultTable
from mlbaseline.store.evaluations import EvaluationFigures, log_evaluation, open_evaluation
from mlbaseline.store.server.connection import Tracker, connect
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import load_suite
from tests.benchmarks.json_results import add_json_option, write_results
from tests.support.checkout import ROOT
from tests.support.processes.servers import mlflow_server

LABELS = ("negative", "neutral", "positive")
SEEDS = 5
HARDWARE = {"hardware.device": "cpu", "hardware.device_name": "a chip", "hardware.cpu": "a chip", "hardware.cores": 2}
SUITE = """
name: many
task:
  kind: choice
  data: {source: data.csv}
  columns: {text: text, target: label}
  prompt: "{text}"
  choices: [negative, neutral, positive]
  split: {test: 10000}
  slices: {topic: {column: text}, length: {column: text}}
metrics: [accuracy, macro_f1, nll_nats, ece]
seeds: [0, 1, 2, 3, 4]
cost: {usd_per_hour: {cpu: 0.1}}
baselines:
  base: {kind: pretrained, model: {source: m}}
"""
RULES = """matrix:
  primary: [{candidate: lora_00, over: [base, lora_01], margin: 0.01}]
  guardrails: [{candidate: lora_00, over: [base], slices: [topic], margin: -0.02}]
gates: {min_seeds: 5, max_error_rate: 0.01, latency_p95_s: 1.0}
"""


@dataclass(frozen=True)
class Ran:
    """cpu_s: of the process alone, which on an idle machine of two cores is about what is waited for."""

    seconds: float
    cpu_s: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s (asked: 60), {self.cpu_s:.1f} s of CPU, {self.peak_bytes / 1e9:.2f} GB (asked: 3)"


def suite_text(n_runs: int) -> str:
    """One rung without seeds, and as many fine-tunes with five seeds each as make up the runs."""
    tuned = (
        f"  lora_{i:02}: {{kind: peft, method: lora, base: base, learning_rate: {i + 1}.0e-4}}\n"
        for i in range(max(2, math.ceil((n_runs - 1) / SEEDS)))
    )
    return SUITE + "".join(tuned) + RULES


def made_data(n: int, rng: np.random.Generator) -> TaskData:
    targets, topics, lengths = (rng.choice(values, n) for values in (LABELS, list("abcde"), ["q1", "q2", "q3"]))
    examples = tuple(
        Example(f"e{i:07}", {"text": ""}, str(target), LABELS, slices={"topic": str(topic), "length": str(length)})
        for i, (target, topic, length) in enumerate(zip(targets, topics, lengths, strict=True))
    )
    return TaskData("test", examples, LABELS, "d" * 64)


def made_table(data: TaskData, baseline: str, kind: str, seed: int | None, rng: np.random.Generator) -> ResultTable:
    n = len(data.examples)
    target = np.array([LABELS.index(example.target) for example in data.examples])
    logits = rng.normal(size=(n, 3)) + 1.2 * np.eye(3)[target]
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    frame = pd.DataFrame(
        {
            "example_id": [example.id for example in data.examples],
            "cluster": pd.array([None] * n, dtype="string"),
            **{f"slice.{name}": [example.slices[name] for example in data.examples] for name in ("topic", "length")},
            "target": np.array(LABELS)[target],
            "prediction": pd.array(np.array(LABELS)[log_probs.argmax(axis=1)], dtype="string"),
            **{f"loglik_nats.{label}": log_probs[:, i] for i, label in enumerate(LABELS)},
            "tokens_in": rng.integers(20, 60, n),
            "tokens_out": 1,
            "latency_s": np.where(np.arange(n) % (n // 24 or 1) == 0, rng.gamma(9.0, 0.01, n), np.nan),
            "compute_s": rng.gamma(9.0, 0.005, n),
            "truncated": False,
            "error": pd.array([None] * n, dtype="string"),
        }
    )
    fields = {"data.digest": data.digest, "metric.version": 1, "model.kind": kind, "engine.precision": "fp32",
              "engine.batch_tokens": 4096, "model.sha256": baseline, "seed": seed}  # fmt: skip
    return add_scores(ResultTable(baseline, kind, seed, Signature(fields), frame), LABELS, ("accuracy", "nll_nats"))


def log_run(tracker: Tracker, suite: Suite, data: TaskData, baseline: str, seed: int | None) -> None:
    kind = suite.baselines[baseline].kind
    table = made_table(data, baseline, kind, seed, np.random.default_rng([seed or 0, *baseline.encode()]))
    about = {"baseline": baseline, "seed": seed, "signature": table.signature, "data": data}
    params = {**describe_baseline(suite, baseline), **HARDWARE}
    with open_evaluation(tracker, suite, params=params, **about) as run:
        log_evaluation(
            run,
            table,
            suite=suite,
            data=data,
            figures=EvaluationFigures(
                measure_overall(table, suite),
                measure_slices(table, suite),
                cost_of(suite, [MeteredEvaluation(table, HARDWARE)]),
            ),
        )


def timed(command: list[str], cwd: Path, cache: Path) -> Ran:
    environment = {**os.environ, "MLBASELINE_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, 3, 4):
        raise SystemExit(f"compare failed: exit {os.waitstatus_to_exitcode(status)} after {seconds:.0f} s")
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Ran(seconds, usage.ru_utime + usage.ru_stime, peak_bytes)


def main() -> int:
    from mlflow import MlflowClient

    parser = argparse.ArgumentParser()
    parser.add_argument("n_runs", type=int, nargs="?", default=200)
    parser.add_argument("n_examples", type=int, nargs="?", default=10_000)
    add_json_option(parser)
    options = parser.parse_args()
    n_runs, n_examples = options.n_runs, options.n_examples
    results = []

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "server").mkdir()
        (folder / "many.yaml").write_text(suite_text(n_runs), encoding="utf-8")
        MlflowClient(f"sqlite:///{folder}/empty.db").search_experiments()
        suite, data = load_suite(folder / "many.yaml"), made_data(n_examples, np.random.default_rng(0))
        runs = [(n, seed) for n in suite.baselines for seed in ((None,) if n == "base" else suite.seeds)]
        with mlflow_server(folder / "server", folder / "empty.db") as uri:
            tracker, started = connect(uri, suite.name), time.perf_counter()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda run: log_run(tracker, suite, data, *run), runs))
            print(f"{len(runs)} runs of {n_examples:,} examples logged in {time.perf_counter() - started:.0f} s")
            command = [sys.executable, "-m", "mlbaseline", "compare", "many.yaml", "--json", "--tracking-uri", uri]
            for cache in ("empty", "warm"):
                ran = timed(command, folder, folder / "cache")
                print(f"compare, {cache} cache: {ran}")
                case = {"what": f"compare, {cache} cache", "runs": len(runs), "examples": n_examples}
                results.append({**case, **asdict(ran)})
    write_results(options.json, "compare", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
