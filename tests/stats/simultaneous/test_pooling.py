"""Partial pooling against published figures and sampling, and what it is for: closer to the truth over all groups."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.stats import partial_pooling


def test_the_eight_schools() -> None:
    """Coaching in eight schools (Rubin 1981), as RStan's introduction samples it."""
    found = partial_pooling([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18])
    assert found.estimate == pytest.approx([11.3, 7.8, 6.1, 7.6, 5.1, 6.1, 10.6, 8.4], abs=0.6)
    assert (found.mean, found.spread) == (pytest.approx(7.9, abs=0.4), pytest.approx(6.6, abs=0.6))
    assert (found.high - found.low)[0] / 3.92 == pytest.approx(8.2, abs=0.6)


def test_sampling_the_model_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    values, errors = np.array([0.1, 0.25, 0.05, 0.12]), np.array([0.05, 0.06, 0.03, 0.1])
    spread, mean = rng.uniform(0.0, 1.0, 600_000), rng.uniform(-1.0, 1.2, 600_000)
    truths = rng.normal(mean, spread, (4, 600_000))
    weight = np.exp(-0.5 * np.square((values[:, None] - truths) / errors[:, None]).sum(axis=0))
    found = partial_pooling(values, errors)
    assert found.estimate == pytest.approx(np.average(truths, axis=1, weights=weight), abs=0.006)


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.1])
def test_closer_to_the_truth_over_all_groups(spread: float) -> None:
    rng, own, pooled, held = np.random.default_rng(1), [], [], []
    errors = np.array([0.02, 0.03, 0.05, 0.05, 0.08, 0.1, 0.12, 0.15])
    for _ in range(400):
        truth = rng.normal(0.05, spread, 8) if spread else np.full(8, 0.05)
        values = truth + rng.normal(0.0, errors)
        found = partial_pooling(values, errors)
        own.append(np.square(values - truth).sum())
        pooled.append(np.square(found.estimate - truth).sum())
        held.append((found.low <= truth) & (truth <= found.high))
    assert np.mean(pooled) < 0.8 * np.mean(own)
    assert np.mean(held) > 0.92


def test_groups_that_differ_far_beyond_their_errors_keep_their_own() -> None:
    values = np.array([-1.0, 0.0, 1.0])
    found = partial_pooling(values, [0.01, 0.01, 0.01])
    assert found.estimate == pytest.approx(values, abs=0.001)
    assert (found.own > 0.999).all()


@pytest.mark.parametrize(
    ("values", "errors", "message"),
    [([0.1, 0.2], [0.1, 0.1], "at least 3"), ([0.1] * 3, [0.1, 0.1, 0.0], "above 0"), ([0.1] * 3, [0.1] * 4, "shape")],
)
def test_what_cannot_be_pooled(values: list[float], errors: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        partial_pooling(values, errors)
