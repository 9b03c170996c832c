"""Comparisons of weighted means: those of `stats`, wherever a suite registers a mix or a column of weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbaseline.errors import DataError
from mlbaseline.judge.assessment import assess
from mlbaseline.judge.contrasts.power import examples_to_decide
from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.judge.resampling import SimulatedTests, TrueDifference
from mlbaseline.metrics import add_scores
from mlbaseline.records import Assessment, Comparison, Estimand
from mlbaseline.results import WEIGHT, CompletedEvaluation
from mlbaseline.stats import compare_paired, post_stratification
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import LABELS, REGISTRATION, evaluation, table, task_data
from tests.support.ladders.suites import JUDGED, JUDGED_METRICS, fill

N = 400
DATA = task_data(N)
HALF = np.array([example.slices["half"] for example in DATA.examples])
MIX = {"a": 0.8, "b": 0.2}
WEIGHTS = np.random.default_rng(5).lognormal(0.0, 0.5, N)
BY_MIX, BY_COLUMN = "weights: {slice: half, mix: {a: 0.8, b: 0.2}}", "weights: {column: w}"


def suite(weights: str, correction: str = "holm") -> Suite:
    return parse_suite(fill(JUDGED, correction=f"{correction}\n  {weights}", metric="accuracy"))


def right(name: str) -> np.ndarray:
    """The candidate is better on one half of the slice alone."""
    rates = {"floor": (0.5, 0.5), "base": (0.6, 0.6), "lora": (0.85, 0.6)}[name]
    return np.random.default_rng(len(name)).random(N) < np.where(HALF == "a", *rates)


def rung(name: str, *, weights: np.ndarray | None = None) -> CompletedEvaluation:
    made = add_scores(table(DATA, right(name), baseline=name), LABELS, JUDGED_METRICS)
    if weights is not None:
        made = replace(made, frame=made.frame.assign(**{WEIGHT: weights}))
    return evaluation(made)


def ladder(weights: str, correction: str = "holm", *, column: np.ndarray | None = None) -> Ladder:
    return build_ladder(suite(weights, correction), [rung(name, weights=column) for name in ("floor", "base", "lora")])


def assessed(weights: str, correction: str = "holm", *, column: np.ndarray | None = None) -> Assessment:
    return assess(ladder(weights, correction, column=column), REGISTRATION, {}, {})


def row(found: Assessment, *, role: str = "primary", slice_value: str | None = None) -> Comparison:
    return next(r for r in found.comparisons if (r.role, r.baseline, r.slice_value) == (role, "base", slice_value))


@pytest.mark.parametrize("by_mix", [True, False], ids=["mix", "column"])
def test_a_registered_row_is_the_weighted_comparison_with_the_plain_one_beside_it(by_mix: bool) -> None:
    found = assessed(BY_MIX) if by_mix else assessed(BY_COLUMN, column=WEIGHTS)
    scores = right("lora").astype(float), right("base").astype(float)
    weighted = compare_paired(*scores, weights=post_stratification(HALF, MIX) if by_mix else WEIGHTS)
    plain, ours = compare_paired(*scores), row(found)
    assert (ours.delta, ours.low, ours.high) == (weighted.delta, weighted.low, weighted.high)
    assert ours.candidate_mean - ours.baseline_mean == pytest.approx(ours.delta)
    assert (ours.plain_delta, ours.plain_low, ours.plain_high) == (plain.delta, plain.low, plain.high)
    assert ours.effective_n == pytest.approx(weighted.effective_n)
    assert found.weighted == ("to the mix of half: a 0.8, b 0.2" if by_mix else "by the column w")


def test_a_value_of_the_mix_is_compared_as_without_weights() -> None:
    on_slice = row(assessed(BY_MIX), role="guardrail", slice_value="b")
    alone = compare_paired(right("lora")[HALF == "b"].astype(float), right("base")[HALF == "b"].astype(float))
    assert (on_slice.delta, on_slice.low, on_slice.method) == (alone.delta, alone.low, alone.method)


def test_the_joint_family_is_weighted_too() -> None:
    holm, joint = row(assessed(BY_MIX)), row(assessed(BY_MIX, "romano_wolf"))
    assert (joint.delta, joint.low) == (holm.delta, holm.low)
    assert joint.p_adjusted >= joint.p_value
    assert joint.simultaneous_low < joint.delta < joint.simultaneous_high
    assert joint.simultaneous_low == pytest.approx(holm.simultaneous_low, abs=0.01)


def test_other_metrics_stay_plain_and_say_so() -> None:
    found = next(r for r in assessed(BY_MIX).comparisons if r.metric == "macro_f1")
    assert found.effective_n is None
    assert found.plain_delta is None


def test_runs_without_weights_decide_nothing_by_them() -> None:
    with pytest.raises(DataError, match="evaluate --fresh"):
        assessed(BY_COLUMN)


def test_the_mix_is_part_of_what_is_registered() -> None:
    plain, mixed = suite("level: 0.95"), suite(BY_MIX)
    assert "weights" not in plain.matrix.model_dump()  # of a suite of before it is the same digest
    assert mixed.matrix_digest not in (plain.matrix_digest, suite(BY_MIX.replace("0.8", "0.7").replace("0.2", "0.3")))
    assert all("weighted to the mix of half: a 0.8, b 0.2" in claim for claim in mixed.matrix.claims())


def test_power_follows_the_weighted_error() -> None:
    of, compared = ladder(BY_MIX), row(assessed(BY_MIX), role="guardrail", slice_value=None)
    needed = examples_to_decide(of, compared, family=1)
    distance = compared.delta - (compared.margin or 0.0)
    assert needed.n == pytest.approx(N * (compared.mde / distance) ** 2, abs=1)


def test_simulated_tests_have_the_stated_weighted_difference() -> None:
    of = ladder(BY_MIX)
    tests = SimulatedTests(of, TrueDifference("lora", "base", "accuracy", 0.1))
    deltas = []
    for number in range(60):
        drawn = tests.draw(1.0, np.random.default_rng(number))
        ours, theirs = (drawn.tables(name, Estimand.CHECKPOINT)[0] for name in ("lora", "base"))
        groups = ours.frame["slice.half"].to_numpy()
        difference = ours.scores("accuracy") - theirs.scores("accuracy")
        deltas.append(sum(share * difference[groups == name].mean() for name, share in MIX.items()))
    assert np.mean(deltas) == pytest.approx(0.1, abs=3 * np.std(deltas) / np.sqrt(60))
