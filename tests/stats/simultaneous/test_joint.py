"""Joint intervals against the single-comparison oracles, and what must hold for every method."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from mlbaseline.stats import compare_paired
from mlbaseline.stats.paired.binary import ScoreConfidence, WiderConfidence, tango_score
from mlbaseline.stats.simultaneous.joint import JointIntervals, joint_intervals
from mlbaseline.stats.simultaneous.step_down import step_down
from tests.stats.simultaneous.calibration_joint import Scenario, few_units, simulate

METHODS = ("auto", "normal", "multiplier", "bootstrap")
PAIR = np.array([[1.0, -1.0]])


def binary(n: int, k: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    easy = rng.random((n, 1))
    return (0.6 * easy + 0.4 * rng.random((n, k)) < 0.6).astype(float)


def continuous(n: int, k: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1)) + rng.normal(size=(n, k)) + 0.05 * np.arange(k)


def against_first(k: int) -> np.ndarray:
    return np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])


def judge(scores: np.ndarray, contrasts: np.ndarray = PAIR, seed: int = 0, **options: object) -> JointIntervals:
    options = {"n_resamples": 2_000, **options}
    return joint_intervals(scores, contrasts, rng=np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def test_large_continuous_cells_are_paired_t() -> None:
    scores = continuous(800, 2)
    joint = judge(scores)
    theirs = stats.ttest_rel(scores[:, 0], scores[:, 1])
    interval = theirs.confidence_interval(0.95)
    assert joint.kind[0, 0] == "t"
    # The skewness that was seen by chance widens one side a little.
    np.testing.assert_allclose([joint.low[0, 0], joint.high[0, 0]], [interval.low, interval.high], rtol=2e-3)
    np.testing.assert_allclose(joint.p_values()[0, 0], theirs.pvalue, rtol=0.02)
    one_sided = stats.ttest_rel(scores[:, 0], scores[:, 1] + 0.02, alternative="greater")
    np.testing.assert_allclose(joint.p_values(0.02, "greater")[0, 0], one_sided.pvalue, rtol=0.02)


def test_pairs_of_right_and_wrong_are_mcnemars() -> None:
    scores = binary(300, 2)
    joint = judge(scores)
    table = [[((scores[:, 0] == i) & (scores[:, 1] == j)).sum() for j in (1, 0)] for i in (1, 0)]
    assert joint.kind[0, 0] == "score"
    np.testing.assert_allclose(joint.p_values()[0, 0], mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("margin", [0.0, 0.03, -0.05])
def test_pairs_of_right_and_wrong_are_judged_as_compare_paired_does(margin: float) -> None:
    scores = binary(300, 2)
    joint, alone = judge(scores), compare_paired(scores[:, 0], scores[:, 1], margin=margin)
    np.testing.assert_allclose([joint.low[0, 0], joint.high[0, 0]], [alone.low, alone.high], atol=1e-9)
    np.testing.assert_allclose(joint.p_values(margin)[0, 0], alone.p_value)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200), st.sampled_from([0.05, 0.0024]))
@settings(max_examples=60, deadline=None)
def test_pairs_of_right_and_wrong_are_never_judged_more_narrowly_than_alone(
    gained: int, lost: int, same: int, alpha: float
) -> None:
    """And each limit excludes a margin exactly if the p-value of that margin is below its tail."""
    counts = [np.array([float(count)]) for count in (gained + 1, lost, gained + 1 + lost + same)]
    wider, alone = WiderConfidence(*counts), ScoreConfidence(*counts)
    low, high = wider.lower(alpha / 2)[0], -wider.mirrored().lower(alpha / 2)[0]
    assert low <= alone.lower(alpha / 2)[0]
    assert high >= -alone.mirrored().lower(alpha / 2)[0]
    for bound, step in ((low, -1e-6), (high, 1e-6)):
        if abs(bound) > 1e-5 and -1 < bound < 1:  # at zero it is McNemar's test that the bound agrees with
            outside, inside = (
                (wider if step < 0 else wider.mirrored()).p_greater(np.sign(-step) * (bound + away))[0]
                for away in (step, -step)
            )
            assert outside <= alpha / 2 + 1e-9
            assert inside >= alpha / 2 - 1e-9


def test_the_score_statistic_is_mcnemars_at_zero() -> None:
    assert tango_score(*[np.array([float(x)]) for x in (9, 1, 44, 0)])[0] ** 2 == pytest.approx(64 / 10)


def test_score_test_maximises_the_likelihood() -> None:
    wins, losses, n, difference = 7.0, 2.0, 60.0, 0.02
    rates = np.linspace(1e-6, 0.4, 400_001)
    likelihood = (
        wins * np.log(rates + difference) + losses * np.log(rates) + (n - 9) * np.log1p(-2 * rates - difference)
    )
    rate = rates[likelihood.argmax()]
    expected = (5 - n * difference) / np.sqrt(n * (2 * rate + difference - difference**2))
    ours = tango_score(*[np.array([x]) for x in (wins, losses, n, difference)])[0]
    assert ours == pytest.approx(expected, rel=1e-4)


def test_clusters_follow_millers_formula() -> None:
    scores, clusters = continuous(3_500, 2), np.arange(3_500) // 7
    difference = scores[:, 0] - scores[:, 1]
    sums = np.bincount(clusters, difference - difference.mean())
    c = len(sums)
    expected = np.sqrt(c / (c - 1) * np.square(sums).sum()) / 3_500
    joint = judge(scores, clusters=clusters)
    np.testing.assert_allclose(joint.standard_error, expected)
    assert (joint.n, joint.n_units) == (3_500, c)
    reach = stats.t.isf(0.025, c - 1) * expected
    np.testing.assert_allclose(joint.high - joint.low, 2 * reach, rtol=5e-3)  # and what skewness adds


def test_slices_equal_the_slice_alone() -> None:
    scores, slices = continuous(3_000, 3), np.random.default_rng(1).random((3_000, 4)) < [0.5, 0.3, 0.25, 0.9]
    contrasts, clusters = against_first(3), np.arange(3_000) // 4
    for labels in (None, clusters):
        joint = judge(scores, contrasts, slices=slices, clusters=labels)
        for s in range(4):
            rows = slices[:, s]
            alone = judge(scores[rows], contrasts, clusters=None if labels is None else labels[rows])
            np.testing.assert_allclose(joint.estimate[s + 1], alone.estimate[0])
            np.testing.assert_allclose(joint.standard_error[s + 1], alone.standard_error[0])
            np.testing.assert_allclose(joint.low[s + 1], alone.low[0])
            assert joint.n_units[s + 1] == alone.n_units[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clustered", [False, True])
def test_draws_have_the_cells_correlation(method: str, clustered: bool) -> None:
    scores, slices = continuous(2_400, 4), np.random.default_rng(1).random((2_400, 2)) < 0.4
    clusters = np.arange(2_400) // 2 if clustered else None
    joint = judge(scores, against_first(4), slices=slices, clusters=clusters, method=method, n_resamples=8_000)
    values = (scores @ against_first(4).T)[:, None, :] - joint.estimate
    influence = np.hstack([np.ones((2_400, 1)), slices])[:, :, None] * values
    influence = influence.reshape(2_400, -1)
    if clustered:
        influence = influence.reshape(1_200, 2, -1).sum(axis=1)
    np.testing.assert_allclose(
        np.corrcoef(joint.draws.reshape(8_000, -1).T),
        np.corrcoef(influence.T),
        atol=0.12 if "multi" in method else 0.06,
    )
    np.testing.assert_allclose(joint.draws.std(axis=0), 1.0, atol=0.04)


def test_critical_values_lie_between_one_cell_and_bonferroni() -> None:
    """Fifty contrasts with correlation .5, .8 and .95: 3.14, 2.82 and 2.42; Bonferroni 3.29 (simulated elsewhere)."""
    rng = np.random.default_rng(0)
    for share, expected in ((0.5, 3.14), (0.8, 2.82), (0.95, 2.42)):
        scores = np.sqrt(share) * rng.normal(size=(4_000, 1)) + np.sqrt(1 - share) * rng.normal(size=(4_000, 50))
        joint = judge(scores, np.eye(50), n_resamples=20_000)
        assert joint.critical_value == pytest.approx(expected, abs=0.06)


def test_step_down_by_hand() -> None:
    draws = np.array([[0.5, 2.5], [2.0, 0.1], [-3.0, 0.2], [0.3, -0.4]])
    # Largest (second, 2.4) against max|both| = 2.5, 2, 3, .4; then the first (1.9) against its own draws.
    np.testing.assert_allclose(step_down(np.array([1.9, 2.4]), draws), [3 / 5, 3 / 5])
    np.testing.assert_allclose(step_down(np.array([3.5, 2.4]), draws), [1 / 5, 2 / 5])
    np.testing.assert_allclose(step_down(np.array([0.0, 0.0]), draws), [1.0, 1.0])
    np.testing.assert_allclose(step_down(np.array([-1.9, -9.0]), draws, "less"), [2 / 5, 1 / 5])


def test_adjusted_p_values_never_fall_below_their_own() -> None:
    joint = judge(continuous(500, 8), against_first(8), n_resamples=10_000)
    assert (joint.adjusted_p_values() >= joint.p_values()).all()
    family = np.zeros((1, 7), dtype=bool)
    family[0, :2] = True
    assert (joint.adjusted_p_values(family=family) <= joint.adjusted_p_values()[family] + 1e-12).all()
    single = family.copy()
    single[0, 1] = False
    np.testing.assert_allclose(joint.adjusted_p_values(family=single), joint.p_values()[single], atol=0.015)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("make", [binary, continuous], ids=["binary", "continuous"])
def test_self_against_self(method: str, clustered: bool, make: object) -> None:
    scores = make(200, 2)  # type: ignore[operator]
    same = scores[:, [0, 0, 1]]
    joint = judge(same, against_first(3), method=method, clusters=np.arange(200) // 4 if clustered else None)
    assert joint.estimate[0, 0] == 0
    for p in (joint.p_values(), joint.adjusted_p_values(), joint.p_values(0.0, "greater")):
        assert p[0, 0] == 1.0
        assert np.isfinite(p).all()
    for low, high in ((joint.low, joint.high), (joint.simultaneous_low, joint.simultaneous_high)):
        assert low[0, 0] < 0 < high[0, 0]
        assert np.isfinite([low, high]).all()
    assert joint.kind[0, 0] == "unseen"
    assert "unseen in 1" in joint.reason


def test_no_discordant_pair_is_no_proof_of_equality() -> None:
    joint = judge(np.repeat(binary(200, 1), 2, axis=1))
    bound = 1 - 0.025 ** (1 / 200)
    np.testing.assert_allclose([joint.low[0, 0], joint.high[0, 0]], [-bound, bound])
    assert joint.p_values(-0.01, "greater")[0, 0] > 0.1
    assert joint.p_values(-0.03, "greater")[0, 0] < 0.025
    np.testing.assert_allclose(joint.p_values(-bound, "greater")[0, 0], 0.025)


def test_unchanging_without_being_equal() -> None:
    """One side always right, the other always wrong: against 0 it is the sign-flip test, 2 · 2⁻ⁿ."""
    joint = judge(np.column_stack([np.ones(6), np.zeros(6)]))
    assert joint.estimate[0, 0] == 1
    assert joint.p_values()[0, 0] == pytest.approx(2 * 0.5**6)
    assert 0 < joint.low[0, 0] < 1
    assert joint.high[0, 0] == 1


def test_tiny_slices_and_single_clusters_are_answered() -> None:
    scores = continuous(40, 2)
    slices = np.zeros((40, 3), dtype=bool)
    slices[0, 0] = slices[:2, 1] = slices[:5, 2] = True
    joint = judge(scores, slices=slices)
    assert joint.kind[:, 0].tolist() == ["bootstrap_t", "unseen", "t", "t"]
    assert np.isfinite([joint.low, joint.high, joint.simultaneous_low, joint.simultaneous_high]).all()
    assert ((joint.p_values() >= 0) & (joint.p_values() <= 1)).all()
    alone = judge(scores, clusters=np.zeros(40))
    assert alone.kind[0, 0] == "unseen"
    assert alone.high[0, 0] - alone.low[0, 0] > np.ptp(scores[:, 0])


def test_rarely_different_scores_are_smoothed() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(60)
    second = first.copy()
    second[:3] += 0.2
    joint = judge(np.column_stack([second, first]))
    assert joint.kind[0, 0] == "sparse_t"
    assert joint.high[0, 0] - joint.low[0, 0] > 2 * stats.t.isf(0.025, 59) * joint.standard_error[0, 0]


@given(st.integers(3, 60), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_swapping_sides_mirrors_everything(n: int, is_binary: bool, clustered: bool, seed: int) -> None:
    scores = (binary if is_binary else continuous)(n, 2, seed)
    clusters = np.arange(n) // 2 if clustered else None
    forth = judge(scores, clusters=clusters, n_resamples=200)
    back = judge(scores[:, ::-1], clusters=clusters, n_resamples=200)
    np.testing.assert_allclose(forth.low, -back.high, atol=1e-6)
    np.testing.assert_allclose(forth.simultaneous_high, -back.simultaneous_low, atol=1e-6)
    np.testing.assert_allclose(forth.p_values(), back.p_values(), atol=1e-9)
    np.testing.assert_allclose(forth.p_values(0.1, "greater"), back.p_values(-0.1, "less"), atol=1e-9)


@given(st.integers(3, 40), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_order_of_examples_and_copies_in_clusters_do_not_matter(n: int, is_binary: bool, seed: int) -> None:
    scores = (binary if is_binary else continuous)(n, 2, seed)
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, max(2, n // 2), n)
    once = judge(scores, clusters=clusters, n_resamples=200)
    order = rng.permutation(n)
    moved = judge(scores[order], clusters=clusters[order], n_resamples=200)
    np.testing.assert_allclose(moved.low, once.low, atol=1e-9)
    twice = judge(np.vstack([scores, scores]), clusters=np.concatenate([clusters, clusters]), n_resamples=200)
    np.testing.assert_allclose(twice.estimate, once.estimate, atol=1e-12)
    np.testing.assert_allclose(twice.standard_error, once.standard_error, atol=1e-12)


@given(st.integers(3, 80), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_wider_at_a_higher_level_and_when_held_together(n: int, is_binary: bool, seed: int) -> None:
    scores = (binary if is_binary else continuous)(n, 4, seed)
    contrasts = against_first(4)
    levels = [judge(scores, contrasts, level=level, n_resamples=500) for level in (0.8, 0.9, 0.95, 0.99)]
    for narrow, wide in itertools.pairwise(levels):
        assert (wide.low <= narrow.low + 1e-12).all()
        assert (wide.high >= narrow.high - 1e-12).all()
        assert (narrow.simultaneous_low <= narrow.low + 1e-9).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.zeros(5)}, "scores must be"),
        ({"scores": np.empty((0, 2))}, "scores must be"),
        ({"scores": np.array([[0.0, np.nan], [1.0, 1.0]])}, r"column\(s\) \[1\]"),
        ({"scores": np.array([[0.0, np.inf], [1.0, 1.0]])}, r"column\(s\) \[1\]"),
        ({"contrasts": [[1.0, -1.0, 0.0]]}, r"\(c, 2\)"),
        ({"contrasts": [[0.0, 0.0]]}, "not all zero"),
        ({"slices": np.zeros((50, 2), dtype=bool)}, r"slice\(s\) \[0, 1\]"),
        ({"slices": np.ones((50, 2))}, "booleans"),
        ({"slices": np.ones((49, 2), dtype=bool)}, "booleans"),
        ({"clusters": np.zeros(49)}, "one label an example"),
        ({"level": 1.0}, "level"),
        ({"n_resamples": 5}, "n_resamples"),
        ({"method": "bca"}, "method must be"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    arguments = {"scores": binary(50, 2), "contrasts": PAIR, **change}
    with pytest.raises(ValueError, match=message):
        joint_intervals(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alternative"):
        judge(binary(50, 2)).p_values(0.0, "both")  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", few_units(), ids=str)
def test_few_clusters_and_few_differing_scores_pass_no_gate(scenario: Scenario) -> None:
    """Nominal 2.5 %: with C/(C − 1) and C − 1 degrees of freedom up to 24 % passed, with Agresti–Min's forms 8 %."""
    rates = simulate(scenario, n_tables=120, n_resamples=200, seed=3)
    assert rates.coverage >= 0.93
    assert rates.one_sided_error <= 0.035


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("binary", n=200),
        Scenario("binary", n=120, effect=0.08),
        Scenario("lognormal", n=60),
        Scenario("binary", n=300, cluster_size=5),
        Scenario("lognormal", n=600, cluster_size=5),
    ],
    ids=str,
)
def test_fifty_correlated_contrasts_keep_their_size(scenario: Scenario) -> None:
    """The quick form of the calibration: 150 tables, so that an error rate of 0.05 shows as at most 0.077 (1.5 SE)."""
    found = simulate(scenario, n_tables=150, n_resamples=1_000, seed=7)
    assert found.coverage >= 0.94
    assert found.simultaneous_coverage >= 0.95 - 1.5 * np.sqrt(0.05 * 0.95 / 150)
    assert found.family_wise_error <= 0.05 + 1.5 * np.sqrt(0.05 * 0.95 / 150)
    assert found.one_sided_error <= 0.03
