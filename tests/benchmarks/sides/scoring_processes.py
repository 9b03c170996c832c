"""Both as a user starts them: `lm_eval` with a task of its own, `mlbaseline evaluate` with a suite, each a process."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from tests.benchmarks.sides.process import Spent
from tests.benchmarks.tasks.scoring_items import MAX_LENGTH, Items, packaged_model
from tests.support.checkout import ROOT
from tests.support.processes.servers import DTYPE_NAMES, VLLM_ENVIRONMENT

FIRST_BATCH = """
import sys, time
import psutil
from mlbaseline.workflows.evaluations import one_by_one

evaluate = one_by_one._evaluate
def watched(*arguments, **options):
    from mlbaseline.engine.scoring import log_likelihood_scorer as scoring  # imported by now

    score_packed = scoring.score_packed
    def first(*arguments, **options):
        took_s = time.time() - psutil.Process().create_time()
        print("first batch", took_s, time.process_time(), file=sys.stderr, flush=True)
        scoring.score_packed = score_packed
        return score_packed(*arguments, **options)

    scoring.score_packed = first
    return evaluate(*arguments, **options)

one_by_one._evaluate = watched
from mlbaseline.cli import main
main()
"""
"""The command, saying how long after the start of its process the first batch is read."""


@dataclass(frozen=True)
class Place:
    """A folder with everything that both need: items, checkpoints, a suite, a task, a tracking database."""

    folder: Path
    items: Items
    checkpoints: tuple[Path, ...]
    batch: int
    precision: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLBASELINE_CACHE": str(self.folder / "cache"),
            "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        }


def make_place(folder: Path, items: Items, n_checkpoints: int, batch: int, precision: str) -> Place:
    """The checkpoints are the packaged model, each with another last norm: the work of seeds without their training."""
    data = items.write(folder)
    checkpoints = []
    for index in range(n_checkpoints):
        copy = folder / f"checkpoint_{index}"
        shutil.copytree(packaged_model(), copy)
        weights = load_file(copy / "model.safetensors")
        weights["model.norm.weight"] *= 1 + index / 100
        save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
        checkpoints.append(copy)
    (folder / "bench.yaml").write_text(_harness_task(items, data), encoding="utf-8")
    place = Place(folder, items, tuple(checkpoints), batch, precision)
    (folder / "suite.yaml").write_text(_suite(place, data), encoding="utf-8")
    run_ours(place, ["uniform"])  # creates the tracking database, which is there in daily use
    return place


def run_ours(place: Place, baselines: Sequence[str]) -> tuple[Spent, Spent]:
    """What `mlbaseline evaluate` takes, no score of it cached, and what it takes until its first batch."""
    chosen = [word for name in baselines for word in ("--baseline", name)]
    database = f"sqlite:///{place.folder / 'mlflow.db'}"
    command = ["evaluate", str(place.folder / "suite.yaml"), *chosen, "--fresh", "--tracking-uri", database]
    spent, errors = _run([sys.executable, "-c", FIRST_BATCH, *command], place, place.environment)
    first = [line.split()[-2:] for line in errors.splitlines() if line.startswith("first batch ")]
    return spent, Spent(*map(float, first[0])) if first else spent


def run_theirs(place: Place, checkpoint: Path) -> Spent:
    """What `lm_eval` takes on one checkpoint."""
    options = ["--model", "hf", "--model_args", _model_arguments(place, checkpoint), "--device", "cpu"]
    command = [sys.executable, "-m", "lm_eval", *_harness_arguments(place), *options, "--batch_size", str(place.batch)]
    return _run(command, place, place.environment)[0]


def run_theirs_on_vllm(place: Place, checkpoint: Path, python: str) -> Spent:
    """What `lm_eval` takes on one checkpoint with vLLM, which lives in the environment of an interpreter."""
    options = ["--model", "vllm", "--model_args", f"{_model_arguments(place, checkpoint)},enforce_eager=True"]
    command = [python, "-m", "tests.benchmarks.sides.lm_eval_on_vllm", *_harness_arguments(place), *options]
    # Its packages, not those that this process imports from.
    environment = {**place.environment, **VLLM_ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    return _run([*command, "--batch_size", "auto"], place, environment)[0]


def _harness_arguments(place: Place) -> list[str]:
    task = ["--tasks", "bench", "--include_path", str(place.folder), "--log_samples"]
    return ["run", *task, "--output_path", str(place.folder / "out")]


def _model_arguments(place: Place, checkpoint: Path) -> str:
    return f"pretrained={checkpoint},dtype={DTYPE_NAMES[place.precision]},max_length={MAX_LENGTH}"


def _run(command: Sequence[str], place: Place, environment: Mapping[str, str]) -> tuple[Spent, str]:
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, cwd=place.folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - started, cpu_s), done.stderr


def _harness_task(items: Items, data: Path) -> str:
    """The template's `{text}` in their way of writing it; a target is the position of the right choice."""
    prompt = (items.prompting.prefix + items.prompting.template).replace("{text}", "{{text}}")
    task = {
        "task": "bench",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": prompt,
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{position}}",
        "metric_list": [{"metric": "acc"}],
    }
    return json.dumps(task)  # JSON is YAML


def _suite(place: Place, data: Path) -> str:
    items = place.items
    options = [f"option_{index}" for index in range(len(items.labels))]
    suite = {
        "name": "bench",
        "task": {
            "kind": "choice",
            "data": {"test": str(data)},
            "columns": {"id": "id", "text": "text", "target": "position", "choices": options},
            "prompt": items.prompting.prefix.replace("{", "{{").replace("}", "}}") + items.prompting.template,
        },
        # lm-eval times no query alone.
        "evaluation": {"max_length": MAX_LENGTH, "latency_sample": 0, "precision": place.precision},
        "baselines": {
            "uniform": {"kind": "trivial", "strategy": "uniform"},
            **{path.name: {"kind": "pretrained", "model": {"source": str(path)}} for path in place.checkpoints},
        },
    }
    return json.dumps(suite)
