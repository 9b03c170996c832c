"""The model that these tests compute with."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")
