"""Finished trainings on their way from one machine's cache to another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mlbaseline.engine.training.cached import PackedTraining, epoch_folder, find_trained, train_once
from mlbaseline.errors import AssetError
from mlbaseline.model_files import weights_sha256
from mlbaseline.records import Trained

KEY = "0" * 64


def train(folder: Path) -> Trained:
    """Leave an adapter, and what only an attempt needs."""
    weights = epoch_folder(folder, 2)
    weights.mkdir()
    save_file({"lora_A": np.arange(6.0)}, weights / "adapter_model.safetensors")
    (weights / "adapter_config.json").write_text("{}")
    (folder / "output.log").write_text("of this machine")
    return Trained(weights, weights_sha256(weights), 1.5, 6, (0.7, 0.2), {"accuracy": 0.9}, 2)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackedTraining:
    """A training of another machine."""
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "there"))
    packed = PackedTraining.of(KEY, train_once(KEY, train))
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "here"))
    return packed


def test_a_training_is_found_where_it_was_unpacked(packed: PackedTraining, tmp_path: Path) -> None:
    assert find_trained(KEY) is None
    packed.unpack()
    found = find_trained(KEY)
    assert found is not None
    assert found.folder == tmp_path / "here/trained" / KEY / "epoch-2"
    assert (found.train_s, found.losses, found.dev) == (1.5, (0.7, 0.2), {"accuracy": 0.9})
    assert {path.name for path in found.folder.iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    assert not list(tmp_path.glob("here/**/*.log"))


def test_what_is_there_already_stays(packed: PackedTraining) -> None:
    packed.unpack()
    replace(packed, archive=b"damaged").unpack()
    assert find_trained(KEY) is not None


def test_damaged_weights_are_refused(packed: PackedTraining) -> None:
    damaged = packed.archive.replace(np.arange(6.0).tobytes(), np.arange(1.0, 7.0).tobytes())
    with pytest.raises(AssetError, match="the training that another machine sent is damaged"):
        replace(packed, archive=damaged).unpack()
    assert find_trained(KEY) is None
