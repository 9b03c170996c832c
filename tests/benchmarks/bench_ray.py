"""What Ray costs beside worker processes: python -m tests.benchmarks.bench_ray [--json FOLDER] [--examples N]

A suite of generated reviews, and models of random weights that are wide enough for the answers to take most of the
time. `--processes 2` answers one rung after the other with two processes; `--ray` has two nodes with one CPU each on
the same machine. Each command starts with an empty cache and an empty database; both take turns. The cluster runs
before the clock starts. The first command, in which the workers of its nodes start, is reported apart.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.benchmarks.json_results import add_json_option, write_results
from tests.support.checkout import ROOT
from tests.support.ladders.suites import fill, reviews_suite
from tests.support.models.tiny_models import write_tiny_model
from tests.support.processes.ray_clusters import SmallCluster, small_cluster

SUITE = reviews_suite(
    """
metrics: [accuracy]
seeds: [0]
evaluation: {batch_tokens: 2048, max_length: 256, latency_sample: 4}
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  few_shot: {kind: pretrained, model: {source: MODEL}, shots: 2}
  more_shots: {kind: pretrained, model: {source: MODEL}, shots: 4}
""",
    split="{train: 96, dev: 32, test: EXAMPLES, seed: 1}",
)
ALLOWED_RATIO, ALLOWED_S = 1.10, 5.0


@dataclass(frozen=True)
class Timed:
    """Wall time of one command."""

    what: str
    examples: int
    wall_s: float


def write_place(folder: Path, examples: int, width: int) -> None:
    """Write model, reviews and suite into a folder."""
    (folder / "model").mkdir()
    write_tiny_model(folder / "model", width)
    rng = random.Random(5)
    words = ["soup", "bread", "chair", "lamp", "train", "bus", "hotel", "room", "park", "again", "never", "today"]
    with (folder / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "agreement", "review"])
        for number in range(examples + 96 + 32 + 16):
            review = f"{number} " + " ".join(rng.choices(words, k=rng.randint(10, 30)))
            writer.writerow([rng.choice(["good", "bad"]), "1", review])
    suite = fill(SUITE, model=folder / "model", examples=examples)
    (folder / "suite.yaml").write_text(suite, encoding="utf-8")


def evaluate(folder: Path, *options: str) -> float:
    """Evaluate the suite with an empty database; seconds."""
    (folder / "mlflow.db").unlink(missing_ok=True)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    environment = {**os.environ, "MLBASELINE_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mlbaseline", "evaluate", str(folder / "suite.yaml"), "--fresh", *options]
    uri = f"sqlite:///{folder}/mlflow.db"
    started = perf_counter()
    subprocess.run([*command, "--tracking-uri", uri], cwd=folder, env=environment, check=True, stdout=sys.stderr)
    return perf_counter() - started


def measure(folder: Path, cluster: SmallCluster, examples: int, repeat: int) -> list[Timed]:
    """Time both in turns, after one command that starts the workers of the nodes."""
    timed = [Timed("--ray, first command", examples, evaluate(folder, "--ray", cluster.address))]
    for _ in range(repeat):
        timed.append(Timed("--processes 2", examples, evaluate(folder, "--processes", "2")))
        timed.append(Timed("--ray", examples, evaluate(folder, "--ray", cluster.address)))
    return timed


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the ratio beside what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--width", type=int, default=256, help="of the model's hidden states")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as temporary, small_cluster(Path(temporary, "nodes")) as cluster:
        cluster.add_node("other")
        folder = Path(temporary)
        write_place(folder, options.examples, options.width)
        timed = measure(folder, cluster, options.examples, options.repeat)
    for each in timed:
        print(f"{each.what:<22} {each.wall_s:8.1f} s")
    processes_s, ray_s = (median(t.wall_s for t in timed if t.what == what) for what in ("--processes 2", "--ray"))
    allowed_s = ALLOWED_RATIO * processes_s + ALLOWED_S
    print(f"medians: {ray_s:.1f} s / {processes_s:.1f} s = {ray_s / processes_s:.2f}; allowed: {allowed_s:.1f} s")
    write_results(options.json, "ray", timed)


if __name__ == "__main__":
    main()
