"""A whole ladder over generated reviews and a tiny random model: every kind of rung, real training, a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest

from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.workplace import Workplace, write_reviews, write_suite


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a training of one test is found done by the next."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def workplace(
    tmp_path: Path, tiny_model: Path, empty_database: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    """A folder with data, a suite, and a tracking store of its own in SQLite."""
    monkeypatch.chdir(tmp_path)
    # Whoever connects in this process leaves the address in the environment (mlflow 3.17), and commands follow it.
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLBASELINE_CACHE", str(shared_cache))
    copy(empty_database, tmp_path / "mlflow.db")
    write_reviews(tmp_path / "reviews.csv")
    write_suite(tmp_path / "suite.yaml", tiny_model)
    yield Workplace(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def cheap_ladder(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CheapLadder]:
    """A ladder of cheap rungs, beside which results from elsewhere can be put."""
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    copy(empty_database, tmp_path / "mlflow.db")
    write_reviews(tmp_path / "reviews.csv")
    cheap_ladder = CheapLadder(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    cheap_ladder.write()
    yield cheap_ladder
