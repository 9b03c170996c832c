"""The evidence of a stream is that of its counts, wherever it is looked at, and crosses where it first reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlbaseline.stats.sequential import binomial_mixture, binomial_stream, two_sided_course


@pytest.mark.parametrize("one_sided", [False, True])
def test_each_look_is_the_product_over_phases(one_sided: bool) -> None:
    rng = np.random.default_rng(0)
    theta0 = np.repeat([0.05, 0.2, 0.05], [300, 200, 100])
    success = rng.random(600) < 0.25
    path = binomial_stream(success, theta0, k=20, threshold=math.log(20), one_sided=one_sided)
    every = np.zeros(600)
    for rate in (0.05, 0.2):
        inside = theta0 == rate
        n, x = np.cumsum(inside), np.cumsum(inside & success)
        every += binomial_mixture(n, x, rate, k=20, one_sided=one_sided)
    assert path.log_e == pytest.approx(every[path.positions])
    assert path.crossed == int(np.argmax(every >= math.log(20)))
    if not one_sided:
        assert two_sided_course(success, theta0, k=20) == pytest.approx(every)


def test_the_crossing_does_not_depend_on_what_follows() -> None:
    rng = np.random.default_rng(1)
    success = rng.random(5_000) < 0.1
    whole = binomial_stream(success, 0.05, k=20, threshold=math.log(100), one_sided=True).crossed
    assert whole is not None
    for end in (whole + 1, whole + 500):
        part = binomial_stream(success[:end], 0.05, k=20, threshold=math.log(100), one_sided=True)
        assert part.crossed == whole
    assert binomial_stream(success[:whole], 0.05, k=20, threshold=math.log(100), one_sided=True).crossed is None


def test_losses_between_0_and_1_keep_the_size() -> None:
    """300 streams of 2,000 losses from Beta(0.5, 2), an unbroken look at a true share of 0.2."""
    rng, rejected = np.random.default_rng(2), 0
    for _ in range(300):
        path = binomial_stream(
            rng.random(2_000) < 0.2, 0.2, k=20, threshold=math.log(20), weight=rng.beta(0.5, 2, 2_000), one_sided=True
        )
        rejected += path.crossed is not None
    assert rejected / 300 <= 0.05 + 1.5 * math.sqrt(0.05 * 0.95 / 300)


def test_an_empty_stream_has_no_evidence() -> None:
    path = binomial_stream([], 0.5, k=20, threshold=3.0)
    assert (path.crossed, path.last, len(path.positions)) == (None, 0.0, 0)


def test_bad_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        binomial_stream([True], 0.5, k=20, threshold=3.0, weight=[1.5])
