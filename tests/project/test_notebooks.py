"""The notebooks run from their first cell to their last, and are stored without outputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

FOLDER = ROOT / "notebooks"
NEEDS_A_LADDER = {"look_into_a_ladder"}
"""Executed by tests/workflows/ladders/test_ladder.py, on the ladder that it has made."""
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem not in NEEDS_A_LADDER], ids=lambda p: p.stem)
def test_a_notebook_runs_to_its_end(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    assert any("assert " in cell.source for cell in notebook.cells), "no cell checks what the text says"
