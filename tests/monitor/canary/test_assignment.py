"""Assignment by hash: even, sticky, growing with the share, and new for each experiment."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import stats

from mlbaseline.monitor import Arm
from mlbaseline.monitor.canary.assignment import assign, effective_share

UNITS = [f"user-{number}" for number in range(20_000)]


def in_canary(experiment: str, share: float) -> np.ndarray:
    return np.array([assign(unit, experiment, share) is Arm.CANDIDATE for unit in UNITS])


def test_the_share_is_kept_and_units_stay_as_it_rises() -> None:
    small, large = in_canary("v2", 0.05), in_canary("v2", 0.25)
    assert stats.binomtest(int(small.sum()), len(UNITS), 0.05).pvalue > 0.01
    assert not (small & ~large).any()


def test_another_experiment_mixes_the_units_anew() -> None:
    both = in_canary("v2", 0.2) & in_canary("v3", 0.2)
    assert stats.binomtest(int(both.sum()), len(UNITS), 0.04).pvalue > 0.01


def test_the_formula_is_the_documented_one() -> None:
    digest = hashlib.sha256(b"pepper:v2:user-1").digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    assert assign("user-1", "v2", place + 1e-9, salt="pepper") is Arm.CANDIDATE
    assert assign("user-1", "v2", place - 1e-9, salt="pepper") is Arm.CHAMPION


def test_weights_are_cut_to_whole_percent() -> None:
    assert effective_share((0.95, 0.05)) == pytest.approx(0.05, abs=0.005)
    assert effective_share((0.994, 0.006)) == 0.0  # which is no canary at all
    for bad in ((-1.0, 1.0), (0.001, 0.001)):
        with pytest.raises(ValueError, match="expected"):
            effective_share(bad)


def test_a_share_is_from_0_to_1() -> None:
    with pytest.raises(ValueError, match="share: expected a number from 0 to 1, got 5"):
        assign("a", "b", 5)
