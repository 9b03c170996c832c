"""What must hold of a paired comparison whatever the data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlbaseline.stats import PairedComparison, compare_paired

KINDS = ("0/1", "rare 0/1", "continuous", "partial", "tied", "shifted")
quick = settings(max_examples=60, deadline=None)


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    """Scores of one kind, perhaps clustered, perhaps with seeds on either side."""
    kind, n = draw(st.sampled_from(KINDS)), draw(st.sampled_from([4, 5, 9, 30, 80, 230]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    runs = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (3, 1), (2, 4)]))

    def side(rows: int) -> np.ndarray:
        if kind == "0/1":
            values = (rng.random((rows, n)) < 0.6).astype(float)
        elif kind == "continuous":
            values = rng.lognormal(size=(rows, n)) - 1.0
        elif kind == "tied":
            values = np.round(rng.random((rows, n)) * 2.0) / 2.0
        else:
            values = np.repeat(common[None, :], rows, axis=0)
            if kind == "shifted":
                return values * 0.5 + 0.125 * len(values)
            hit = rng.random((rows, n)) < 0.04
            values = np.where(hit, 1.0 - values if kind == "rare 0/1" else rng.random((rows, n)), values)
        return values

    common = (rng.random(n) < 0.5).astype(float)
    a, b = side(runs[0]), side(runs[1])
    case: dict[str, Any] = {
        "candidate": a[0] if runs[0] == 1 else a,
        "baseline": b[0] if runs[1] == 1 else b,
    }
    if draw(st.booleans()) and n >= 9:
        case["clusters"] = rng.integers(max(n // 4, 2), size=n)
        assume(len(np.unique(case["clusters"])) > 1)
    return case


@quick
@given(comparisons(), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.sampled_from([0.0, -0.03, 0.1]))
def test_nothing_is_ever_nan_or_without_width(case: dict[str, Any], level: float, margin: float) -> None:
    result = compare_paired(**case, level=level, margin=margin)
    assert result.low < result.high
    assert math.isfinite(result.low)
    assert math.isfinite(result.high)
    assert 0.0 <= result.p_value <= 1.0
    assert result.standard_error > 0.0


@quick
@given(comparisons(), st.sampled_from([0.0, 0.05]))
def test_swapping_the_systems_negates_the_answer(case: dict[str, Any], margin: float) -> None:
    forward = compare_paired(**case, margin=margin)
    swapped = {**case, "candidate": case["baseline"], "baseline": case["candidate"]}
    backward = compare_paired(**swapped, margin=-margin)
    assert backward.delta == pytest.approx(-forward.delta, abs=1e-12)
    assert (backward.low, backward.high) == (
        pytest.approx(-forward.high, abs=1e-9),
        pytest.approx(-forward.low, abs=1e-9),
    )
    assert backward.p_value == pytest.approx(forward.p_value, abs=1e-9)
    assert (backward.gained, backward.lost) == (forward.lost, forward.gained)
    assert compare_paired(**swapped, margin=-margin, alternative="less").p_value == pytest.approx(
        compare_paired(**case, margin=margin, alternative="greater").p_value, abs=1e-9
    )


@pytest.mark.parametrize(("worse", "better"), [(4, 5), (5, 5)], ids=["skewed", "symmetric"])
def test_coarse_scores_say_the_same_of_both_systems(worse: int, better: int) -> None:
    differences = np.array([0.0] * 13 + [-0.5] * worse + [0.5] * better + [1.0] * 4 + [-1.0] * 4)
    for margin in (0.0, 0.05, 0.1):
        forward = compare_paired(differences, np.zeros(len(differences)), margin=margin)
        assert compare_paired(np.zeros(len(differences)), differences, margin=-margin).p_value == forward.p_value


@quick
@given(comparisons(), st.integers(0, 1_000))
def test_the_order_of_examples_does_not_matter(case: dict[str, Any], seed: int) -> None:
    before = compare_paired(**case)
    order = np.random.default_rng(seed).permutation(np.shape(case["candidate"])[-1])
    after = compare_paired(**{key: np.asarray(value)[..., order] for key, value in case.items()})
    assert_close(before, after)


@quick
@given(comparisons())
def test_duplicated_examples_add_nothing_once_clustered(case: dict[str, Any]) -> None:
    n = np.shape(case["candidate"])[-1]
    labels = case.get("clusters", np.arange(n))
    doubled = {key: np.repeat(value, 3, axis=-1) for key, value in case.items() if key != "clusters"}
    # By t, or the small-sample methods for independent examples would answer for the undoubled data.
    before = compare_paired(**case, method="t")
    after = compare_paired(**doubled, clusters=np.repeat(labels, 3), method="t")
    assert (after.low, after.high) == (pytest.approx(before.low, abs=1e-9), pytest.approx(before.high, abs=1e-9))
    assert after.p_value == pytest.approx(before.p_value, abs=1e-9)


@quick
@given(comparisons(), st.lists(st.sampled_from([0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995]), min_size=2, max_size=2))
def test_a_higher_level_is_never_narrower(case: dict[str, Any], levels: list[float]) -> None:
    narrow, wide = (compare_paired(**case, level=level) for level in sorted(levels))
    assert wide.low <= narrow.low + 1e-9
    assert wide.high >= narrow.high - 1e-9


@quick
@given(
    comparisons(),
    st.sampled_from([0.8, 0.9, 0.95, 0.99]),
    st.floats(-0.2, 0.2),
    st.sampled_from(["two-sided", "greater", "less"]),
)
def test_p_value_and_interval_agree(case: dict[str, Any], level: float, margin: float, alternative: Any) -> None:
    result = compare_paired(**case, level=level, margin=margin, alternative=alternative)
    outside = margin < result.low or margin > result.high
    at_the_edge = min(abs(margin - result.low), abs(margin - result.high)) < 1e-6
    assert at_the_edge or outside == (result.p_value <= 1.0 - level + 1e-12)


def assert_close(one: PairedComparison, other: PairedComparison) -> None:
    for name in ("delta", "low", "high", "p_value", "standard_error"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9), name
    assert (one.method, one.gained, one.lost) == (other.method, other.gained, other.lost)
