"""The binomial mixture against quadrature, and its size under an unbroken look."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from mlbaseline.stats.sequential import binomial_mixture, quantile_exceeds


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize(("n", "x", "theta0", "k"), [(40, 9, 0.1, 20.0), (300, 10, 0.05, 5.0), (25, 0, 0.5, 100.0)])
def test_the_mixture_is_the_averaged_likelihood_ratio(n: int, x: int, theta0: float, k: float, one_sided: bool) -> None:
    prior, low = stats.beta(k * theta0, k * (1 - theta0)), theta0 if one_sided else 0.0
    at_null = stats.binom.pmf(x, n, theta0)
    expected, _ = integrate.quad(
        lambda theta: prior.pdf(theta) * stats.binom.pmf(x, n, theta) / at_null, low, 1, points=[theta0], epsabs=1e-12
    )
    expected /= prior.sf(low)
    assert float(binomial_mixture(n, x, theta0, k=k, one_sided=one_sided)) == pytest.approx(
        math.log(expected), abs=1e-6
    )


def test_the_expectation_under_the_null_is_one() -> None:
    n, theta0 = 60, 0.2
    x = np.arange(n + 1)
    weight = stats.binom.pmf(x, n, theta0)
    for one_sided in (False, True):
        assert weight @ np.exp(binomial_mixture(n, x, theta0, k=20, one_sided=one_sided)) == pytest.approx(1.0)


def test_far_from_the_alternative_the_e_value_is_small_and_finite() -> None:
    log_e = binomial_mixture([10**4, 10**6], 0, 0.5, k=20, one_sided=True)
    assert np.isfinite(log_e).all()
    assert (log_e < 0).all()


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_no_look_raises_the_rate_of_false_alarms(share: float) -> None:
    """Mismatch of a traffic split, looked at after every request: 300 streams of 5,000."""
    rng = np.random.default_rng(3)
    x = np.cumsum(rng.random((300, 5_000)) < share, axis=1)
    log_e = binomial_mixture(np.arange(1, 5_001), x, share, k=20)
    assert (log_e.max(axis=1) >= math.log(1 / 0.05)).mean() <= 0.05 + 1.5 * math.sqrt(0.05 * 0.95 / 300)


def test_a_harmful_canary_is_detected_early() -> None:
    """Failures of 10 %, tripled in a canary of 5 %: the median detection lies below 1,000 requests."""
    rng, share, detected = np.random.default_rng(4), 0.05, []
    for _ in range(60):
        canary = rng.random(20_000) < share
        failed = rng.random(20_000) < np.where(canary, 0.3, 0.1)
        log_e = binomial_mixture(np.cumsum(failed), np.cumsum(failed & canary), share, k=20, one_sided=True)
        detected.append(int(np.argmax(log_e >= math.log(1 / 0.05))) or 20_000)
    assert np.median(detected) < 1_000


def test_the_search_for_the_least_evidence_misses_no_threshold() -> None:
    rng = np.random.default_rng(7)
    for n, m, p in ((30, 50, 0.5), (200, 90, 0.9), (5, 400, 0.95)):
        baseline, candidate = np.round(rng.lognormal(size=n), 1), np.round(1.5 * rng.lognormal(size=m), 1)
        thresholds = np.concatenate([[-1.0], baseline, candidate])
        every = [
            binomial_mixture(n, (baseline <= q).sum(), p, k=20, one_sided=True)
            + binomial_mixture(m, (candidate > q).sum(), 1 - p, k=20, one_sided=True)
            for q in thresholds
        ]
        assert quantile_exceeds(baseline, candidate, p, k=20) == pytest.approx(float(np.min(every)))


def test_quantiles_keep_their_size_and_find_a_slower_tail() -> None:
    rng = np.random.default_rng(5)
    looks, false, found = range(200, 1_001, 200), [], []
    for _ in range(150):
        baseline, equal = rng.lognormal(size=2_000), rng.lognormal(size=1_000)
        for candidate, rejections in ((equal, false), (2 * equal, found)):
            log_e = max(quantile_exceeds(baseline[: 2 * n], candidate[:n], 0.95, k=20) for n in looks)
            rejections.append(log_e >= math.log(1 / 0.05))
    assert np.mean(false) <= 0.05
    assert np.mean(found) >= 0.9


def test_a_slower_candidate_within_the_ratio_is_not_harm_but_non_inferior() -> None:
    rng = np.random.default_rng(6)
    baseline, candidate = rng.lognormal(size=4_000), 1.1 * rng.lognormal(size=4_000)
    assert quantile_exceeds(baseline, candidate, 0.5, k=20, ratio=1.5) < 0
    assert quantile_exceeds(candidate, baseline, 0.5, k=20, ratio=1 / 1.5) > math.log(1 / 0.05)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: binomial_mixture(5, 6, 0.5, k=20),
        lambda: binomial_mixture(5, 1, 1.0, k=20),
        lambda: binomial_mixture(5, 1, 0.5, k=0),
        lambda: quantile_exceeds([], [1.0], 0.5, k=20),
        lambda: quantile_exceeds([1.0], [math.nan], 0.5, k=20),
        lambda: quantile_exceeds([1.0], [1.0], 0.5, k=20, ratio=0.0),
    ],
)
def test_bad_input_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        bad()  # type: ignore[operator]
