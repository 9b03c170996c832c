"""One ladder is walked; every test has a copy of its database and puts its artifacts back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbaseline import workflows
from tests.support.ladders.walked_ladder import SUITE, Walked
from tests.support.ladders.workplace import write_reviews


@pytest.fixture(scope="package")
def pristine(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("walked")
    shutil.copy(empty_database, folder / "mlflow.db")
    write_reviews(folder / "reviews.csv")
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # SQLite without a server puts artifacts under the working folder
        patch.setenv("MLBASELINE_CACHE", str(folder / "cache"))
        workflows.evaluate(folder / "suite.yaml", tracking_uri=f"sqlite:///{folder}/mlflow.db")
    shutil.copytree(folder / "mlruns", folder / "kept")
    yield folder


@pytest.fixture
def walked(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walked]:
    monkeypatch.chdir(pristine)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))  # so that every table is fetched anew
    shutil.copy(pristine / "mlflow.db", tmp_path / "mlflow.db")
    (pristine / "suite.yaml").write_text(SUITE, encoding="utf-8")
    write_reviews(pristine / "reviews.csv")
    yield Walked(pristine, f"sqlite:///{tmp_path}/mlflow.db")
    shutil.rmtree(pristine / "mlruns")
    shutil.copytree(pristine / "kept", pristine / "mlruns")
