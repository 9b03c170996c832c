"""A model is the content of its files: what others leave beside them does not count, and nothing else is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline.model_files import ModelDigests, model_sha256


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    """Folder of a model that mlbaseline packaged."""
    (tmp_path / "artifacts" / "served").mkdir(parents=True)
    (tmp_path / "artifacts" / "served" / "served.json").write_text("{}")
    (tmp_path / "served_code.py").write_text("code")
    return tmp_path


def add(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("added")


@pytest.mark.parametrize("name", ["registered_model_meta", "__pycache__/served_code.cpython-311.pyc"])
def test_what_mlflow_leaves_beside_a_model_does_not_count(packaged: Path, name: str) -> None:
    before = ModelDigests(model_sha256(packaged))
    add(packaged, name)
    assert before.difference(packaged) is None


@pytest.mark.parametrize("name", ["registered_model_meta.py", "__pycache__/other.pyc", "artifacts/more", "MLmodel"])
def test_every_other_file_counts(packaged: Path, name: str) -> None:
    before = ModelDigests(model_sha256(packaged))
    add(packaged, name)
    assert "its files have the digest" in str(before.difference(packaged))


def test_compiled_code_of_a_model_of_another_tool_counts(tmp_path: Path) -> None:
    """It is run: a file that Python takes in place of the source must not be added unseen."""
    (tmp_path / "served_code.py").write_text("code")
    before = ModelDigests(model_sha256(tmp_path))
    add(tmp_path, "__pycache__/served_code.cpython-311.pyc")
    assert before.difference(tmp_path) is not None
