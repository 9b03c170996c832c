"""Group-sequential boundaries against published values, and simulated size, power and examples saved."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlbaseline.stats import compare_paired
from mlbaseline.stats.sequential import LookDecision, group_sequential, rate_of_look, rate_over_looks

PUBLISHED = {
    1: [1.9600],
    2: [2.9626, 1.9686],
    3: [3.7103, 2.5114, 1.9930],
    4: [4.3326, 2.9631, 2.3590, 2.0141],
    5: [4.8769, 3.3569, 2.6803, 2.2898, 2.0310],
}
"""Lan–DeMets spending like O'Brien–Fleming, one-sided 0.025, equal looks: as tabulated for gsDesign and ldbounds."""


@pytest.mark.parametrize("looks", PUBLISHED)
def test_boundaries_are_the_published_ones(looks: int) -> None:
    plan = group_sequential(np.arange(1, looks + 1) / looks)
    np.testing.assert_allclose(plan.efficacy, PUBLISHED[looks], atol=2e-4)


def brownian(fractions: np.ndarray, drift: float, n: int = 100_000) -> np.ndarray:
    steps = np.diff(fractions, prepend=0.0)
    moves = np.random.default_rng(0).normal(drift * steps, np.sqrt(steps), (n, len(steps)))
    return np.cumsum(moves, axis=1) / np.sqrt(fractions)


@pytest.mark.parametrize("fractions", [[0.2, 0.4, 0.6, 0.8, 1.0], [0.1, 0.55, 1.0], [0.3, 0.31, 0.9]])
def test_size_is_spent_as_planned(fractions: list[float]) -> None:
    plan = group_sequential(fractions, alpha=0.025)
    z = brownian(np.array(fractions), 0.0)
    crossed = (z >= np.array(plan.efficacy)).any(axis=1).mean()
    spent = 2 * stats.norm.sf(stats.norm.isf(0.0125) / math.sqrt(fractions[-1]))
    assert crossed == pytest.approx(spent, abs=0.002)


@pytest.mark.parametrize("beta", [0.2, 0.1])
def test_futility_costs_the_planned_power_and_no_size(beta: float) -> None:
    fractions = np.array([0.25, 0.5, 0.75, 1.0])
    plan = group_sequential(fractions, beta=beta)
    drift = math.sqrt(plan.inflation) * (1.959964 + {0.2: 0.841621, 0.1: 1.281552}[beta])
    for truth, expected in ((drift, 1 - beta), (0.0, 0.025)):
        z = brownian(fractions, truth)
        up, down = z >= np.array(plan.efficacy), z < np.array(plan.futility)
        first_up = np.where(up.any(axis=1), up.argmax(axis=1), 9)
        first_down = np.where(down.any(axis=1), down.argmax(axis=1), 9)
        won = (first_up < first_down).mean()
        assert won == pytest.approx(expected, abs=0.004) if truth else won <= 0.0255
        if not truth:
            assert (np.minimum(first_up, first_down) + 1).mean() / 4 < 0.75
    assert 1.0 < plan.inflation < 1.25


def test_paired_scores_looked_at_five_times_keep_their_size_and_stop_early() -> None:
    """0/1 scores of 500 examples, one-sided: size over 400 streams, and the share of examples seen at a true +0.10."""
    fractions = [0.2, 0.4, 0.6, 0.8, 1.0]
    plan = group_sequential(fractions)
    rng, seen = np.random.default_rng(1), {}
    for gain in (0.0, 0.10):
        stops = []
        for _ in range(400):
            u = rng.random(500)
            d = (u < 0.1 + gain).astype(float) - (u > 0.9).astype(float)
            for look, share in enumerate(fractions):
                part = d[: int(500 * share)]
                test = compare_paired(part, np.zeros_like(part), alternative="greater", method="t")
                if test.p_value <= (1 - plan.level(look)) / 2:
                    stops.append(share)
                    break
        seen[gain] = (len(stops) / 400, (sum(stops) + (400 - len(stops))) / 400)
    assert seen[0.0][0] <= 0.025 + 2 * math.sqrt(0.025 * 0.975 / 400)
    assert seen[0.10][0] > 0.95
    assert seen[0.10][1] < 0.65


def test_decisions_levels_and_p_values_agree() -> None:
    plan = group_sequential([0.5, 1.0], beta=0.2)
    assert plan.decide(0, 2.97) is LookDecision.EFFICACY
    assert plan.decide(0, 1.5) is LookDecision.CONTINUE
    assert plan.decide(0, -1.0) is LookDecision.FUTILITY
    assert plan.decide(1, 1.9) is LookDecision.FUTILITY
    assert plan.level(0) == pytest.approx(1 - 2 * 0.001525, abs=1e-5)
    assert plan.p_value([2.9626]) == pytest.approx(0.025, rel=0.002)
    assert plan.p_value([1.0, 1.9686]) == pytest.approx(0.025, rel=0.002)
    assert plan.p_value([1.0, 3.0]) < 0.025 < plan.p_value([1.0, 1.5])
    assert plan.p_value([-2.0]) == 1.0


@pytest.mark.parametrize("fractions", [[0.2, 0.4, 0.6, 0.8, 1.0], [0.5, 1.0], [0.1, 0.95, 1.0]])
@pytest.mark.parametrize("alpha", [0.025, 0.00625, 0.001, 0.2])
def test_the_p_value_of_a_look_agrees_with_its_boundary(fractions: list[float], alpha: float) -> None:
    plan = group_sequential(fractions, alpha=alpha)
    for look, z in enumerate(plan.efficacy):
        assert plan.p_value_at(look, z) == pytest.approx(alpha, rel=2e-4)
    assert plan.p_value_at(1, 0.0) == 1.0
    assert 0.0 < plan.p_value_at(0, 30.0) < 1e-6


def test_p_values_of_looks_are_valid_wherever_one_stops() -> None:
    """Stopped at the worst of five looks, each keeps its size; earlier looks are not carried over."""
    fractions = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    plan = group_sequential(fractions)
    z = brownian(fractions, 0.0, n=20_000)
    best = z.max(axis=1)[:500]
    p_values = np.array([min(plan.p_value_at(k, value) for k, value in enumerate(row)) for row in z[:4_000]])
    for size in (0.2, 0.05, 0.025):
        assert (p_values <= size).mean() <= size + 3 * math.sqrt(size / 4_000)
    assert (best > 1.96).mean() > 0.05  # which peeking would have called significant


def test_rates_of_a_growing_test_add_up() -> None:
    rates = [rate_of_look(0.05, look, from_first=True) for look in range(1, 2_000)]
    assert sum(rates) == pytest.approx(0.05, abs=2e-5)
    assert sum(rates) < 0.05
    assert rate_of_look(0.05, 1, from_first=False) == 0.05
    assert rate_over_looks(0.05, 1_000, from_first=False) < 1.4 * 0.05
    with pytest.raises(ValueError, match="a look from 1 on"):
        rate_of_look(0.05, 0, from_first=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"fractions": []},
        {"fractions": [0.5, 0.5]},
        {"fractions": [0.5, 1.1]},
        {"fractions": [0.5, 1.0], "alpha": 0.5},
        {"fractions": [0.5, 1.0], "beta": 1.0},
        {"fractions": [0.5, 0.9], "beta": 0.2},
    ],
)
def test_bad_plans_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        group_sequential(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected"):
        group_sequential([1.0]).p_value([])
