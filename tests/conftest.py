"""Fixtures that tests of several folders share."""

from __future__ import annotations

import csv
import logging
import os
import random
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbaseline.records.tables import memory_mapped
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.checkout import ROOT
from tests.support.models.tiny_models import write_chat_model, write_tiny_model
from tests.support.processes.browsers import launched_browser
from tests.support.processes.servers import mlflow_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SLOW = (
    "tests/engine",
    "tests/serving",
    "tests/workflows",
    # They import torch.
    "tests/models/checkpoints/test_checkpoint.py",
    "tests/models/checkpoints/test_quantization.py",
    # They install packages, and write many runs.
    "tests/assets/test_hub.py",
    "tests/assets/test_wheels.py",
    "tests/store/registry/test_lineage.py",
    "tests/store/registry/test_promotion.py",
    "tests/store/registry/test_signed_versions.py",
    "tests/store/server/test_tracking.py",
    # Processes that are killed, and servers that go away.
    "tests/store/registry/test_faults.py",
    # Simulations.
    "tests/judge/slices/test_search.py",
    "tests/judge/test_calibration_looks.py",
    "tests/judge/test_calibration_verdict.py",
    "tests/stats/corpus/test_calibration.py",
    "tests/stats/sequential",
    "tests/stats/paired/test_calibration.py",
    "tests/stats/paired/test_prediction_powered.py",
    "tests/stats/planning/test_power.py",
    "tests/stats/simultaneous/test_gaps.py",
    "tests/stats/simultaneous/test_joint.py",
    "tests/stats/simultaneous/test_selection.py",
    "tests/stats/test_several_tasks.py",
    # Each notebook starts a kernel and imports MLflow.
    "tests/project/test_notebooks.py",
)
"""What `make test-fast` leaves out: whole folders and files. A single test is left out by the marker `slow`."""

LONGEST = (
    "tests/engine/training/test_distributed.py",
    "tests/workflows/clusters/test_ray.py",
    "tests/workflows/ladders/test_ladder.py",
    "tests/workflows/rungs/test_training_program.py",
    "tests/workflows/ladders/test_serving.py",
    "tests/workflows/ladders/test_light_environment.py",
    "tests/project/test_docs_site.py",
    "tests/workflows/ladders/test_smollm_ladder.py",
    "tests/workflows/ladders/test_mlproject.py",
    "tests/stats/simultaneous/test_gaps.py",
)
"""Files of most seconds. They begin first: beside one that begins last, the other processes have nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the LONGEST files first, mark the tests under SLOW, and skip those that need vLLM where it is not."""
    slow, longest = ([ROOT / path for path in paths] for paths in (SLOW, LONGEST))
    if missing := [str(path) for path in (*slow, *longest) if not path.exists()]:
        raise pytest.UsageError(f"SLOW or LONGEST in tests/conftest.py names {missing}, which are not there")
    places = {path: place for place, path in enumerate(longest)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    vllm_is_missing = find_spec("vllm") is None
    for item in items:
        if vllm_is_missing and item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.skip(reason="vLLM is not installed here; `make test-vllm` has it"))
        if any(item.path.is_relative_to(path) for path in slow):
            item.add_marker(pytest.mark.slow)


TINY_SUITE = """
name: tiny
task:
  kind: choice
  data: {source: reviews.csv}
  columns: {text: review, target: label}
  prompt: "Review: {text}\\nLabel:"
  choices: [bad, good]
  split: {train: 24, dev: 8, test: 16, seed: 1}
  slices:
    topic: {column: text, patterns: {food: soup|bread|cheese}, default: other}
    difficulty: {column: agreement, bins: [0, 0.8, 1], labels: [hard, easy]}
metrics: [accuracy, macro_f1, nll_nats]
seeds: [0, 1]
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  stratified: {kind: trivial, strategy: stratified}
  keyword: {kind: trivial, strategy: keyword, rules: {good: "(?i)love|great"}, default: bad}
  annotator: {kind: human, agreement: agreement}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as launched:
        yield launched


@pytest.fixture
def tiny_suite(tmp_path: Path) -> Suite:
    """A choice task over 60 generated reviews, all different, with gaps in the agreement; needs no network."""
    rng = random.Random(5)
    things = ["soup", "bread", "cheese", "chair", "lamp", "table", "train", "bus", "hotel", "room"]
    openings = {
        "good": ["I love the", "What a great", "So nice, this"],
        "bad": ["I hate the", "What a poor", "So bad, this"],
    }
    rows = [
        {"label": label, "agreement": rng.choice(["0.6", "0.9", "1", ""]), "review": f"{opening} {thing}"}
        for thing in things
        for label, texts in openings.items()
        for opening in texts
    ]
    rng.shuffle(rows)
    with (tmp_path / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["label", "agreement", "review"])
        writer.writeheader()
        writer.writerows(rows)
    return parse_suite(TINY_SUITE, root=tmp_path)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama with two layers and a byte-level tokenizer of its own: loads in milliseconds."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with layers as wide as a block of 4-bit weights (64)."""
    return write_tiny_model(tmp_path_factory.mktemp("wide-model"), width=64)


@pytest.fixture(scope="session")
def vllm_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with as many values a head (32) as vLLM's attention takes on a processor, and a chat template."""
    plain = write_tiny_model(tmp_path_factory.mktemp("wider-model"), width=128)
    return write_chat_model(plain, tmp_path_factory.mktemp("vllm-model") / "chat")


@pytest.fixture(params=["fp32", "bf16"])
def auto_precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the precision `auto` stands for: each in turn, whatever the processor has."""
    monkeypatch.setenv("MLBASELINE_NATIVE_BF16", str(int(request.param == "bf16")))
    return str(request.param)


@pytest.fixture(params=["in memory", "in files"])
def where_tables_lie(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where tables of records lie, as if they were small or large: each in turn."""
    if request.param == "in files":
        monkeypatch.setattr(memory_mapped, "_PART_BYTES", 1 << 12)
        monkeypatch.setattr(memory_mapped, "_ARRAY_BYTES", 1)
    return str(request.param)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MLBASELINE_CACHE", str(folder))
    yield folder


@pytest.fixture(scope="session")
def smollm_gguf() -> Path:
    """The 135M-parameter model of the packaged suite, as its suite names it (98 MB, fetched once)."""
    from mlbaseline.assets import fetch
    from mlbaseline.suite import Pretrained
    from mlbaseline.suite.reading import load_suite

    suite = load_suite("tweets")
    zero_shot = suite.baselines["zero_shot"]
    assert isinstance(zero_shot, Pretrained)
    return fetch(zero_shot.model, root=suite.root).path


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """A shell starts what runs in the background with SIGINT ignored, which commands that tests interrupt inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def our_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that other tests import disable loggers that exist, or set the levels of all, the root's included."""
    logger = logging.getLogger("mlbaseline")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "propagate", True)
    logger.setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def mlflow_settings() -> None:
    """What mlflow 3.17 leaves in the environment of whoever connected before, and of whoever runs the tests."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SQLite file with MLflow's tables and nothing in them, to be copied: making one takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    before = path.read_bytes()
    yield path
    assert path.read_bytes() == before, "a test wrote into the database that all tests of this process copy"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """URI of a real MLflow server over HTTP. Tests share it: each has experiments and models of its own."""
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_database) as uri:
        yield uri
