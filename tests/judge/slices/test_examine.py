"""What is explored of slices: worst ones, intersections, gaps, and nothing of what is too small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbaseline.judge.assessment import assess
from mlbaseline.judge.slices import examine
from mlbaseline.records import SliceReport, SmallSlice
from mlbaseline.stats import joint_intervals
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import REGISTRATION
from tests.support.ladders.sliced_ladders import SUITE, ladder, suite


def examined(**options: object) -> SliceReport:
    return examine(ladder(**options), np.random.default_rng(0))  # type: ignore[arg-type]


def test_slices_of_one_contrast_are_one_family() -> None:
    found = examined(hurt=0.5)
    declared = {row.where: row for row in found.deltas}
    assert {(("topic", "cars"),), (("topic", "food"),), (("form", "long"),), (("form", "short"),)} <= set(declared)
    assert (("topic", "rare"),) not in declared
    worst = min(found.deltas, key=lambda row: row.delta)
    assert worst.where in ((("form", "short"),), (("topic", "food"),))
    assert worst.low < worst.delta < worst.high and worst.p_adjusted < 0.05
    made = ladder(hurt=0.5)
    ours, theirs = (made.tables(name, "checkpoint")[0] for name in ("lora", "base"))
    alone = joint_intervals(
        np.column_stack([ours.scores("accuracy"), theirs.scores("accuracy")]),
        [[1, -1]],
        slices=(ours.frame["slice.topic"] == "food").to_numpy()[:, None],
        rng=np.random.default_rng(0),
    )
    food = declared[(("topic", "food"),)]
    assert food.delta == pytest.approx(alone.estimate[1, 0])
    assert food.low < alone.low[1, 0] and food.high > alone.high[1, 0]  # wider than if it were the only one


def test_intersections_go_to_depth_two_and_stay_above_the_minimum() -> None:
    found = examined(hurt=0.5)
    assert {len(row.where) for row in found.intersections} == {2}
    assert min(row.n for row in found.intersections) >= 20
    worst = min(found.intersections, key=lambda row: row.delta)
    assert set(worst.where) == {("topic", "food"), ("form", "short")}


def test_what_was_measured_cuts_too_but_never_by_a_sides_own_loss() -> None:
    names = {row.where[0][0] for row in examined().deltas}
    assert names == {"topic", "form", "tokens in", "uncertainty of the baseline (nats)", "loss of other (nats)"}


def test_gaps_of_both_sides_and_their_difference() -> None:
    gaps = examined(hurt=0.6, n=1200).gaps
    assert {row.slice for row in gaps} == {"topic", "form"}, "none between groups of what was measured"
    gap = next(row for row in gaps if row.slice == "form")
    assert (gap.ours.highest, gap.ours.lowest) == ("long", "short")
    assert gap.ours.low > 0 and gap.theirs.low == 0
    assert 0 < gap.low < gap.difference < gap.high


def test_values_of_a_slice_are_pooled_small_ones_most() -> None:
    (pooling,) = examined(hurt=0.5).poolings
    values = {value.value: value for value in pooling.values}
    assert (pooling.slice, set(values)) == ("topic", {"cars", "food", "rare"})
    assert values["rare"].own < values["food"].own < 1.0
    for value in pooling.values:
        assert abs(value.pooled - pooling.mean) <= abs(value.delta - pooling.mean) + 1e-12
        assert value.low < value.pooled < value.high


def test_a_slice_that_is_too_small_is_named_and_not_compared() -> None:
    assert examined().small == (SmallSlice("topic", "rare", 8),)
    compared = assess(ladder(), REGISTRATION, {}, {})
    rows = [row for row in compared.comparisons if row.slice_value == "rare"]
    assert [(row.role, row.n, row.outcome, row.method) for row in rows] == [
        ("guardrail", 8, "inconclusive", "too_small")
    ]
    # It takes no part in the family: the others are corrected as if it were not there.
    others = [row for row in compared.comparisons if row.role == "guardrail" and row.method != "too_small"]
    assert len(others) == 3 and all(np.isfinite(row.low) for row in others)


def test_a_guardrail_on_too_few_examples_never_passes() -> None:
    made = ladder(hurt=-0.9)  # lora is far better, so that nothing else stands in its way
    right = {"lora": np.ones(600, dtype=bool)}
    from tests.support.comparisons.judged import evaluation
    from tests.support.ladders.sliced_ladders import data, table

    perfect = evaluation(table(data(600), right["lora"], "lora"))
    checkpoint = replace(made.checkpoints["lora"], evaluation=perfect)
    made = replace(made, rungs={**made.rungs, "lora": (perfect,)}, checkpoints={**made.checkpoints, "lora": checkpoint})
    found = assess(made, REGISTRATION, {}, {})
    assert found.verdict.decision == "inconclusive"
    assert "lora over base on topic = rare: 8 examples of at least 20 (matrix.min_slice_examples)" in (
        found.verdict.reason
    )
    assert found.verdict.more_examples == 900  # at the slice's share of 8 in 600, 20 of it come with 1,500
    relaxed = suite().model_copy(update={"matrix": suite().matrix.model_copy(update={"min_slice_examples": 8})})
    assert assess(replace(made, suite=relaxed), REGISTRATION, {}, {}).verdict.decision != "hold"


def test_a_loss_is_better_where_it_is_lower() -> None:
    found = examined(hurt=0.6, metric="nll_nats", n=1200)
    worst = max(found.deltas, key=lambda row: row.delta)
    assert worst.metric == "nll_nats" and worst.where in ((("form", "short"),), (("topic", "food"),))
    assert found.searches[0].found[0].delta > 0


def test_the_same_tables_give_the_same_report() -> None:
    assert examined() == examined()


def test_the_loss_of_a_trivial_rung_is_no_measure_of_difficulty() -> None:
    made = ladder()
    trivial = SUITE.replace(
        "other: {kind: pretrained, model: {source: m}}", "other: {kind: trivial, strategy: majority}"
    )
    report = examine(replace(made, suite=parse_suite(trivial.replace("METRIC", "accuracy"))), np.random.default_rng(0))
    names = {name for row in report.deltas for name, _ in row.where}
    assert "topic" in names
    assert not any(name.startswith("loss of") for name in names)
