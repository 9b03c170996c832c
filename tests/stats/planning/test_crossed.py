"""Components of variance of a crossed design, against a known truth and statsmodels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.typing import NDArray

from mlbaseline.stats import crossed_variance

SOURCES = ("initialisation", "order")
TRUTH = {("initialisation",): 4.0, ("order",): 1.0, ("initialisation", "order"): 0.5}


def drawn(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    deviations = {effect: np.sqrt(variance) for effect, variance in TRUTH.items()}
    a, b, ab = (
        rng.normal(0.0, deviations[effect], size)
        for effect, size in zip(TRUTH, ((rows, 1), (1, columns), (rows, columns)), strict=True)
    )
    return np.asarray(50.0 + a + b + ab)


def test_estimates_are_unbiased_and_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(1)
    n, total = 800, sum(TRUTH.values())
    sums, covered, share_covered = np.zeros(3), 0, 0
    for _ in range(n):
        found = crossed_variance(drawn(rng, 5, 4), SOURCES, rng=rng)
        sums += [each.variance for each in found.components]
        covered += found.low <= total <= found.high
        share_covered += found.components[0].share_low <= 4.0 / total <= found.components[0].share_high
    # A mean square of 4 degrees of freedom varies by sqrt(2/4) of itself: 2.9 / sqrt(800) is a tenth.
    np.testing.assert_allclose(sums / n, list(TRUTH.values()), atol=0.35)
    assert 0.93 <= covered / n <= 0.99
    assert 0.93 <= share_covered / n <= 0.995


def test_restricted_likelihood_agrees_on_a_balanced_design() -> None:
    scores = drawn(np.random.default_rng(3), 6, 5)
    rows, columns = np.indices(scores.shape)
    frame = pd.DataFrame({"y": scores.ravel(), "a": rows.ravel(), "b": columns.ravel(), "all": 1})
    fit = smf.mixedlm("y ~ 1", frame, groups="all", vc_formula={"a": "0 + C(a)", "b": "0 + C(b)"}, re_formula="0").fit()
    a, b, ab = (each.variance for each in crossed_variance(scores, SOURCES).components)
    assert min(a, b, ab) > 0.0
    by_name = dict(zip(fit.model.exog_vc.names, fit.vcomp, strict=True))
    assert (a, b, ab) == pytest.approx((by_name["a"], by_name["b"], fit.scale), rel=0.02)


def test_three_sources_and_one() -> None:
    rng = np.random.default_rng(0)
    a, c = rng.normal(0, 2, (4, 1, 1)), rng.normal(0, 1, (1, 1, 4))
    found = crossed_variance(a + c + np.zeros((4, 3, 4)), ("shots", "order", "decoding"))
    shares = {each.sources: each.share for each in found.components}
    assert len(shares) == 7
    assert shares[("shots",)] + shares[("decoding",)] == pytest.approx(1.0)
    assert found.components[0].variance == pytest.approx(a.var(ddof=1))
    (only,) = crossed_variance([0.5, 0.6, 0.7], ["order"]).components
    assert (only.variance, only.share) == (pytest.approx(0.01), 1.0)


def test_seeds_for_a_standard_error() -> None:
    found = crossed_variance([0.5, 0.6, 0.7], ["order"])
    assert found.seeds_for(0.05)[0] == 4  # 0.01 / 0.0025
    n, fewest, most = found.seeds_for(0.02)
    assert fewest < n == 25 < most
    assert crossed_variance(np.ones((2, 2)), SOURCES).seeds_for(0.01) == (1, 1, 1)
    with pytest.raises(ValueError, match="above 0"):
        found.seeds_for(0.0)


@pytest.mark.parametrize(
    ("scores", "problem"),
    [([1.0, 2.0], "one axis for each"), ([[1.0, 2.0]], "at least two levels"), ([[1.0, 2.0], [np.nan, 1.0]], "finite")],
)
def test_what_is_no_crossed_design_is_refused(scores: list[float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        crossed_variance(scores, SOURCES)
