"""The training that most tests of this folder change."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline.engine.training.job import TrainingJob
from tests.support.models.training_jobs import LORA, make_job


@pytest.fixture
def job(tiny_model: Path) -> TrainingJob:
    return make_job(tiny_model, LORA)
