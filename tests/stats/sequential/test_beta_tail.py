"""The tail of a Beta distribution against scipy, and where scipy has nothing left."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from mlbaseline.stats.sequential.beta_tail import log_beta_tail


@pytest.mark.parametrize("x", [0.001, 0.05, 0.5, 0.95])
def test_it_is_the_tail_of_scipy(x: float) -> None:
    rng = np.random.default_rng(1)
    a = 10 ** rng.uniform(-1, 5, 400)
    b = a * (1 - x) / x * np.exp(rng.normal(0, 3, 400) / np.sqrt(1 + a))
    exact = special.betaincc(a, b, x)
    known = exact > 1e-290
    assert np.abs(log_beta_tail(a, b, x) - np.log(exact, where=known, out=np.zeros(400)))[known].max() < 1e-5


def test_far_tails_stay_finite_and_keep_their_order() -> None:
    tails = log_beta_tail(np.array([1e4, 1e3, 1e2]), 1e5, 0.5)
    assert np.isfinite(tails).all()
    assert (np.diff(tails) < 0).all()
    assert tails[0] == pytest.approx(stats.beta.logsf(0.5, 1e4, 1e5), rel=1e-6) or tails[0] < -600
