"""How soon `mlbaseline watch` answers during ingestion: python -m tests.benchmarks.monitor.bench_watch [EVENTS]

A ledger of a million events; another process goes on ingesting, so that every look decides over all of them; a client
asks 20 times a second. Prints the median, the 95th percentile and the longest time of an answer, beside what is
promised: 50 ms. Exit code 1 if the 95th percentile is above it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from mlbaseline.monitor import open_ledger
from mlbaseline.monitor.ingesting import ingest_file
from tests.benchmarks.json_results import add_json_option, write_results
from tests.benchmarks.monitor.bench_ledger import write_stream
from tests.support.checkout import ROOT
from tests.support.ladders.suites import reviews_suite
from tests.support.processes.servers import free_port, serving
from tests.support.traffic import NOW

PER_SECOND, TARGET_S = 20, 0.05
SUITE = reviews_suite(
    """
baselines: {majority: {kind: trivial, strategy: majority}, uniform: {kind: trivial, strategy: uniform}}
monitor:
  traffic: {source: files, paths: ["events/*.parquet"]}
  reference: majority
  canary:
    candidate: uniform
    guardrails: {error: {ratio: 1.25}, accuracy: {margin: 0.02}, latency_p95: {ratio: 1.2}, cost: {ratio: 1.1}}
"""
)
INGESTING = """
import sys
from pathlib import Path
from mlbaseline.monitor import check_rows, open_ledger
from tests.support.traffic import NOW, stream
ledger = open_ledger(Path("ledger.db"), "reviews")
for seed in range(1_000_000, 2_000_000):
    rows = check_rows(stream(1_000, seed=seed, days=30), source="live", now=NOW)
    ledger.add(rows, source="live")
    ledger.pack()
"""


@dataclass(frozen=True)
class Answers:
    """Times of the answers of one path, in seconds. looks: decisions made meanwhile."""

    path: str
    events: int
    asked: int
    median_s: float
    p95_s: float
    longest_s: float
    looks: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    add_json_option(parser)
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_stream(folder / "events.parquet", options.events)
        ingest_file(open_ledger(folder / "ledger.db", "reviews"), folder / "events.parquet", slices=[], now=NOW)
        results = measure(folder, options.events, options.seconds)
    for found in results:
        median, p95, longest = (f"{1000 * value:.1f} ms" for value in (found.median_s, found.p95_s, found.longest_s))
        print(
            f"{found.path:<10} {found.asked} answers, {found.looks} looks: median {median}, p95 {p95}, "
            f"longest {longest} (promised {1000 * TARGET_S:g} ms)"
        )
    write_results(options.json, "watch", [asdict(found) for found in results])
    sys.exit(any(found.p95_s > TARGET_S for found in results))


def measure(folder: Path, events: int, seconds: float) -> list[Answers]:
    """Ask for the decision and for the gauges in turn."""
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlbaseline", "watch", "suite.yaml", "--ledger", "ledger.db", "--every", "0.5"]
    command += ["--tracking-uri", f"sqlite:///{folder}/mlflow.db", "--port", url.rpartition(":")[2]]
    paths = ("/canary", "/metrics")
    with serving(command, f"{url}/healthz", folder / "watch.log", cwd=folder, env=environment):
        ingesting = subprocess.Popen([sys.executable, "-c", INGESTING], cwd=folder, env=environment)
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                while client.get("/canary").status_code == 503:
                    time.sleep(0.2)
                taken, looks = ask(client, paths, int(seconds * PER_SECOND))
        finally:
            ingesting.kill()
            ingesting.wait()
    return [
        Answers(path, events, len(times), float(np.median(times)), float(np.quantile(times, 0.95)), max(times), looks)
        for path, times in taken.items()
    ]


def ask(client: httpx.Client, paths: tuple[str, ...], n: int) -> tuple[dict[str, list[float]], int]:
    """Ask n times, each at its moment, however long the answer before took. Counts the different looks as well."""
    taken: dict[str, list[float]] = {path: [] for path in paths}
    looked, started = set(), time.perf_counter()
    for number in range(n):
        time.sleep(max(0.0, started + number / PER_SECOND - time.perf_counter()))
        path = paths[number % len(paths)]
        asked = time.perf_counter()
        answer = client.get(path)
        taken[path].append(time.perf_counter() - asked)
        if path == "/canary":
            looked.add(answer.json()["requests"])
    return taken, len(looked)


if __name__ == "__main__":
    main()
