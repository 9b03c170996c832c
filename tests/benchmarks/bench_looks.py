"""What registered looks save on a real model: python -m tests.benchmarks.bench_looks [--json FOLDER] [--trained]

The packaged suite `tweets` with SmolLM2-135M as a user runs it, with and without `--until-settled`, each in a process
and a folder of its own with an empty cache of answers. By default the candidate is the few-shot prompt, which needs no
training; with `--trained` it is LoRA with three seeds, whose trainings both find done: looks do not shorten them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from tests.benchmarks.json_results import add_json_option, write_results
from tests.support.checkout import ROOT

LOOKS = [0.2, 0.4, 0.6, 0.8, 1.0]
RUNGS = ("majority", "keyword", "zero_shot", "few_shot")
"""Rungs of the packaged suite that are kept, beside the candidate."""


@dataclass(frozen=True)
class MeasuredFigures:
    """One run of the command.

    compute_s: of the answers, summed over rungs, from their rows. answered: examples of each rung of the primary
    contrasts.
    """

    what: str
    wall_s: float
    cpu_s: float
    compute_s: float
    answered: int
    of: int
    verdict: str
    summary: str


def write_suite(folder: Path, candidate: str) -> Path:
    """Write the packaged suite with looks, for one candidate over the majority and the untouched model."""
    content = yaml.safe_load((ROOT / "mlbaseline" / "suites" / "tweets.yaml").read_text(encoding="utf-8"))
    baselines = content["baselines"]
    content["baselines"] = {name: baselines[name] for name in (*RUNGS, candidate)}
    contrast = {"candidate": candidate, "over": ["majority", "zero_shot"], "metric": "accuracy"}
    content["matrix"] = {"looks": LOOKS, "primary": [contrast]}
    content["gates"] = {}
    path = folder / "tweets.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def command(folder: Path, cache: Path, *arguments: str) -> tuple[dict[str, Any], float, float]:
    """Run mlbaseline in a folder; its document, wall and CPU seconds."""
    environment = {**os.environ, "MLBASELINE_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    before, started = os.times(), perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "mlbaseline", *arguments, "--json"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    wall_s, after = perf_counter() - started, os.times()
    if done.returncode not in (0, 3, 4):
        raise SystemExit(f"mlbaseline {' '.join(arguments)}: exit {done.returncode}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(done.stdout), wall_s, cpu_s


def measure(what: str, suite: Path, cache: Path, options: Sequence[str]) -> MeasuredFigures:
    """Run the ladder with an empty store and no cached answers, after its trainings were done."""
    folder = suite.parent / what
    folder.mkdir()
    shutil.rmtree(cache / "passes", ignore_errors=True)
    document, wall_s, cpu_s = command(folder, cache, "run", str(suite), "--no-promote", *options)
    comparison = document["comparison"]
    looks = comparison["looks"]
    return MeasuredFigures(
        what,
        wall_s,
        cpu_s,
        sum(_compute_s(folder, each["run_id"]) for each in document["evaluations"]),
        looks["n"],
        looks["total"],
        comparison["verdict"],
        comparison["summary"],
    )


def _compute_s(folder: Path, run_id: str) -> float:
    """Sum up the seconds that the answers of an evaluation took."""
    import pandas as pd

    (path,) = folder.glob(f"mlruns/*/{run_id}/artifacts/results/examples.parquet")
    return float(pd.read_parquet(path)["compute_s"].sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", action="store_true", help="LoRA with three seeds in place of the few-shot prompt")
    parser.add_argument("--cache", type=Path, help="a cache that has the trainings already; default: a new one")
    add_json_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, candidate = Path(temporary), "lora" if options.trained else "few_shot"
        suite, cache = write_suite(folder, candidate), options.cache or folder / "cache"
        prepared = folder / "prepared"
        prepared.mkdir()
        # The model is fetched and converted, and trained where it is.
        prepare = candidate if options.trained else "zero_shot"
        command(prepared, cache, "evaluate", str(suite), "--baseline", prepare)
        measured = [
            measure("whole", suite, cache, ()),
            measure("until settled", suite, cache, ("--until-settled",)),
        ]
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(f"{load}\n\n| tweets | wall s | CPU s | s of answering | examples | verdict |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for one in measured:
        numbers = (one.wall_s, one.cpu_s, one.compute_s)
        cells = (one.what, *(f"{number:.0f}" for number in numbers), f"{one.answered} of {one.of}", one.verdict)
        print(f"| {' | '.join(cells)} |")
    print(f"\n{measured[-1].summary}")
    write_results(options.json, "looks", measured)
    return 0 if measured[0].verdict == measured[1].verdict else 1


if __name__ == "__main__":
    sys.exit(main())
