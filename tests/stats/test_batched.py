"""The mean of what was measured in batches holds its level where rows are alike, batches noisy, and runs apart."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.stats import batched_mean

N, SIZE = 240, 20


def drawn(rng: np.random.Generator, runs: int, batch_noise: float, run_noise: float) -> tuple[np.ndarray, ...]:
    tokens = np.sort(rng.integers(10, 60, N))[::-1].astype(float)
    batches = np.broadcast_to(np.arange(N) // SIZE, (runs, N))
    speed = np.exp(rng.normal(0.0, batch_noise, (runs, N // SIZE))).repeat(SIZE, axis=1)
    speed = speed * np.exp(rng.normal(0.0, run_noise, (runs, 1)))
    return tokens * speed, np.broadcast_to(tokens, (runs, N)).copy(), batches


@pytest.mark.parametrize(
    ("runs", "batch_noise", "run_noise"), [(1, 0.0, 0.0), (1, 0.2, 0.0), (3, 0.2, 0.0), (3, 0.1, 0.1)]
)
def test_coverage(runs: int, batch_noise: float, run_noise: float) -> None:
    rng = np.random.default_rng(1)
    truth = 34.5 * np.exp((batch_noise**2 + run_noise**2) / 2.0)
    held = []
    for _ in range(300):
        found = batched_mean(*drawn(rng, runs, batch_noise, run_noise))
        assert found.low is not None and found.high is not None
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.90


def test_one_batch_of_one_run_has_no_interval_and_two_runs_of_it_have() -> None:
    values = np.array([[1.0, 2.0, 3.0]])
    same = np.zeros((1, 3), dtype=np.int64)
    alone = batched_mean(values, values, same)
    assert (alone.value, alone.low, alone.high) == (2.0, None, None)
    twice = batched_mean(np.vstack([values, 1.1 * values]), np.vstack([values] * 2), np.vstack([same] * 2))
    assert twice.low is not None and twice.n_batches == 2


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="three arrays"):
        batched_mean(np.ones((1, 3)), np.ones(3), np.zeros((1, 3), dtype=np.int64))
