"""Bets on the difference of two arms: their definition, their size under everything that may happen, their power."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlbaseline.stats.sequential import arm_difference, running_quantile

THRESHOLD = math.log(20)


@pytest.mark.parametrize("at_most", [True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_the_evidence_is_the_mean_of_products(at_most: bool, binary: bool) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 50).astype(float) if binary else rng.random(50)
    ours, share, centre, margin, ratio = rng.random(50) < 0.3, 0.3, 0.2, 0.05, 1.1
    path = arm_difference(
        y, ours, np.full(50, share), threshold=THRESHOLD, centre=centre, margin=margin, ratio=ratio, at_most=at_most
    )
    offset = (ratio - 1) * centre + margin
    gain = (y - centre) * np.where(ours, 1 / share, -ratio / (1 - share)) - offset
    least = max(centre / share, ratio * (1 - centre) / (1 - share)) + offset
    most = max((1 - centre) / share, ratio * centre / (1 - share)) - offset
    gain, worst = (gain, least) if at_most else (-gain, most)
    bets = 2.0 ** -np.arange(1, 9, 1.75)
    expected = np.mean([np.prod(1 + bet * gain / worst) for bet in bets])
    assert path.last == pytest.approx(math.log(expected))


@pytest.mark.parametrize("kind", ["equal", "swinging", "ramp", "heavy"])
def test_no_look_raises_the_rate_of_false_alarms(kind: str) -> None:
    """200 streams of 5,000 for each direction, looked at after every observation."""
    rng, n, false = np.random.default_rng(1), 5_000, []
    share = np.repeat([0.05, 0.2], n // 2) if kind == "ramp" else np.full(n, 0.1)
    wave = 1 + 0.8 * np.sin(np.arange(n) / 200)
    for _ in range(200):
        ours = rng.random(n) < share
        if kind == "heavy":
            y = np.minimum(rng.lognormal(0, 1.5, n) / 100, 1.0)
        else:
            y = (rng.random(n) < 0.2 * (wave if kind != "equal" else 1)).astype(float)
        path = arm_difference(y, ours, share, threshold=THRESHOLD, centre=float(y.mean()), at_most=True)
        false.append(path.crossed is not None)
    assert np.mean(false) <= 0.05 + 1.5 * math.sqrt(0.05 * 0.95 / 200)


def test_a_candidate_at_the_margin_is_neither_harmful_nor_shown_to_be_good() -> None:
    rng, n, found = np.random.default_rng(2), 4_000, []
    for _ in range(200):
        ours = rng.random(n) < 0.2
        y = (rng.random(n) < np.where(ours, 0.25, 0.2)).astype(float)
        for at_most in (True, False):
            path = arm_difference(
                y, ours, np.full(n, 0.2), threshold=THRESHOLD, margin=0.05, centre=0.2, at_most=at_most
            )
            found.append(path.crossed is not None)
    assert np.mean(found) <= 0.05


def test_the_nearer_the_centre_the_sooner_it_is_found() -> None:
    rng, n = np.random.default_rng(3), 20_000
    ours = rng.random(n) < 0.1
    cost = np.clip(rng.normal(np.where(ours, 0.56, 0.5), 0.1), 0, 1)
    at = [arm_difference(cost, ours, np.full(n, 0.1), threshold=THRESHOLD, centre=c).crossed for c in (0.0, 0.5)]
    assert at[0] is not None and at[1] is not None and at[1] < at[0] / 2


def test_thresholds_come_from_the_past_alone() -> None:
    rng = np.random.default_rng(4)
    values, ours = rng.random(1_000), rng.random(1_000) < 0.9
    whole = running_quantile(values, ours, 0.95)
    changed = np.where(np.arange(1_000) < 600, values, 9.0)
    assert running_quantile(changed, ours, 0.95)[:601] == pytest.approx(whole[:601], nan_ok=True)


@pytest.mark.parametrize("change", [{"outcome": [1.5]}, {"share": [1.0]}])
def test_bad_input_is_refused(change: dict[str, list[float]]) -> None:
    arguments = {"outcome": [0.5], "candidate": [True], "share": [0.5], **change}
    with pytest.raises(ValueError, match="expected"):
        arm_difference(**arguments, threshold=3.0)
