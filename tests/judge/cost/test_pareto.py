from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mlbaseline.judge.cost.pareto import fronts, pareto_front
from mlbaseline.judge.ladder import build_ladder
from mlbaseline.judge.standing import stand
from mlbaseline.metrics import add_scores
from mlbaseline.records import Front
from mlbaseline.results import CompletedEvaluation
from mlbaseline.suite import CostModel
from tests.support.comparisons.judged import LABELS, evaluation, table, task_data
from tests.support.ladders.suites import JUDGED_METRICS, judged_suite

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(POINTS)
def test_front_is_what_no_point_beats(points: list[tuple[int, int]]) -> None:
    front = pareto_front([q for q, _ in points], [c for _, c in points])
    for (quality, cost), on_front in zip(points, front, strict=True):
        beaten = any((q >= quality and c <= cost) and (q > quality or c < cost) for q, c in points)
        assert on_front == (not beaten)


def test_what_is_unknown_is_not_on_the_front() -> None:
    assert pareto_front([0.5, np.nan, 0.9], [1.0, 0.1, np.nan]).tolist() == [True, False, False]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        pareto_front([1.0, 2.0], [1.0])


@given(st.lists(POINTS.map(lambda points: points[:4]), min_size=1, max_size=5))
def test_many_fronts_at_once_are_each_as_if_alone(draws: list[list[tuple[int, int]]]) -> None:
    n = min(map(len, draws))
    quality, cost = (np.array([[point[side] for point in draw[:n]] for draw in draws]) for side in (0, 1))
    alone = [pareto_front(q, c) for q, c in zip(quality, cost, strict=True)]
    np.testing.assert_array_equal(pareto_front(quality, cost), alone)


# ---- fronts of a ladder ---------------------------------------------------------------------------------------------

CPU = {"hardware.device": "cpu", "hardware.device_name": "a chip", "hardware.cpu": "a chip", "hardware.cores": "2"}
N = 400
DATA = task_data(N)


def rung(
    name: str, rate: float, seconds: float, seed: int | None = None, facts: dict[str, str] = CPU
) -> CompletedEvaluation:
    """Right on the first `rate` of the examples, so that the better one is right wherever the worse one is."""
    right = np.random.default_rng(5).permutation(N) < rate * N
    made = add_scores(table(DATA, right, baseline=name, seed=seed), LABELS, JUDGED_METRICS)
    frame = made.frame.assign(compute_s=seconds * (1 + np.arange(N) / N), latency_s=seconds * (1 + np.arange(N) / N))
    kind = {"lora": "peft", "base": "pretrained"}.get(name, "trivial")
    return replace(evaluation(replace(made, frame=frame, kind=kind)), facts=facts)


def found(*rungs: CompletedEvaluation, prices: dict[str, float] | None = None) -> dict[str, Front]:
    suite_ = judged_suite().model_copy(update={"cost": CostModel(usd_per_hour=prices or {})})
    ladder = build_ladder(suite_, rungs)
    rng = np.random.default_rng(0)
    standings = {name: stand(suite_, name, each, rng) for name, each in ladder.rungs.items()}
    return {front.axis: front for front in fronts(ladder, standings, rng)}


def points(front: Front) -> dict[str, tuple[bool, float | None]]:
    return {point.baseline: (point.on_front, point.probability) for point in front.points}


def test_probabilities_are_certain_where_one_is_better_on_every_resample() -> None:
    cheap, worse, best = rung("floor", 0.5, 0.001), rung("base", 0.4, 0.002), rung("lora", 0.8, 0.003, 0)
    front = found(cheap, worse, best, prices={"cpu": 1.0})["usd_per_query"]
    assert points(front) == {"floor": (True, 1.0), "base": (False, 0.0), "lora": (True, 1.0)}
    assert (front.metric, front.hardware, front.n_elsewhere) == ("accuracy", "", 0)


def test_a_rung_that_is_about_as_good_for_more_money_is_on_the_front_in_some_resamples() -> None:
    rng = np.random.default_rng(1)
    dear = rung("lora", 0.5, 0.002, 0)
    flipped = dear.table.frame["score.accuracy"].to_numpy().copy()
    some = rng.choice(N, 40, replace=False)
    flipped[some] = 1 - flipped[some]
    dear = replace(dear, table=replace(dear.table, frame=dear.table.frame.assign(**{"score.accuracy": flipped})))
    front = found(rung("floor", 0.5, 0.001), rung("base", 0.1, 0.9), dear, prices={"cpu": 1.0})["usd_per_query"]
    cheap_on, cheap = points(front)["floor"]
    _, probability = points(front)["lora"]
    assert (cheap_on, cheap) == (True, 1.0)
    # The paired difference of 40 flipped examples, over its standard error, by the normal law.
    difference = (flipped - rung("floor", 0.5, 0.001).table.frame["score.accuracy"].to_numpy()) / 1.0
    z = difference.mean() / (difference.std() / np.sqrt(N))
    assert probability == pytest.approx(norm.cdf(z), abs=0.05)


def test_latency_is_compared_on_one_machine_only_and_money_on_all() -> None:
    other = {**CPU, "hardware.device_name": "another", "hardware.cpu": "another"}
    rungs = rung("floor", 0.5, 0.001, facts=other), rung("base", 0.4, 0.002, facts={}), rung("lora", 0.8, 0.003, 0)
    by_axis = found(*rungs, prices={"cpu": 1.0})
    latency = by_axis["latency_p95_s"]
    assert points(latency) == {"floor": (False, None), "base": (False, None), "lora": (True, 1.0)}
    assert (latency.hardware, latency.n_elsewhere) == ("a chip", 2)
    assert [point.reason for point in latency.points] == [
        "other hardware: no reference workload was timed beside lora and floor",
        "unknown hardware",
        "",
    ]
    assert points(by_axis["usd_per_query"])["floor"] == (True, 1.0)
    assert [point.reason for point in by_axis["usd_per_query"].points] == ["", "no price", ""]


def test_without_prices_seconds_stand_in_on_one_machine() -> None:
    by_axis = found(rung("floor", 0.5, 0.001), rung("base", 0.4, 0.002), rung("lora", 0.8, 0.003, 0))
    assert "usd_per_query" not in by_axis
    assert points(by_axis["compute_s_per_query"])["base"] == (False, 0.0)
    assert "peak_memory_bytes" not in by_axis  # nobody measured it
    assert {p.baseline: p.x for p in by_axis["trainable_params"].points} == {"floor": 0.0, "base": 0.0, "lora": None}


def test_people_are_not_free_where_seconds_stand_in_for_money() -> None:
    people = rung("floor", 0.9, 0.0)
    people = replace(people, table=replace(people.table, kind="human"))
    front = found(people, rung("base", 0.4, 0.002), rung("lora", 0.8, 0.003, 0))["compute_s_per_query"]
    first = front.points[0]
    assert (first.baseline, first.x, first.reason) == ("floor", None, "not measured")
    assert points(front)["lora"] == (True, 1.0)


def beside(evaluation_: CompletedEvaluation, reference_s: float) -> CompletedEvaluation:
    """With a reference workload that took so long beside its answers."""
    made = evaluation_.table
    frame = made.frame.assign(reference_s=reference_s, batch=np.arange(N) // 40)
    return replace(evaluation_, table=replace(made, frame=frame))


def test_a_rung_does_not_lose_its_place_to_a_busy_machine() -> None:
    """As good, and quicker by the reference; in seconds it came out slower, beside a load that tripled everything."""
    quick, busy = rung("base", 0.7, 0.02), rung("lora", 0.7, 0.045)
    floor = rung("floor", 0.5, 0.001)
    for axis in ("usd_per_query", "latency_p95_s"):
        by_seconds = points(found(floor, quick, busy, prices={"cpu": 3.6})[axis])
        assert (by_seconds["base"][0], by_seconds["lora"][0]) == (True, False)
        by_reference = found(floor, beside(quick, 0.01), beside(busy, 0.03), prices={"cpu": 3.6})[axis]
        assert by_reference.beside
        assert (points(by_reference)["base"][0], points(by_reference)["lora"][0]) == (False, True)


# ---- another machine ------------------------------------------------------------------------------------------------

HERE = {**CPU, "hardware.threads": "2"}
THERE = {**HERE, "hardware.cpu": "an older chip", "hardware.device_name": "an older chip"}


FLOOR = rung("floor", 0.5, 0.001, facts=HERE)


def on_machine(
    made: CompletedEvaluation, slowness: float, facts: dict[str, str], parts: float = 1.0
) -> CompletedEvaluation:
    """With the reference workload of a machine that is so many times slower, in its copy by `parts` more."""
    measured = {
        "reference/matmul_flops_per_s": 1e11 / slowness,
        "reference/copy_bytes_per_s": 1e10 / slowness / parts,
        "reference/pass_s": 1e-3 * slowness,
    }
    return replace(beside(made, 0.002 * slowness), measured=measured, facts=facts)


@pytest.mark.parametrize(("axis", "facts"), [("latency_p95_s", HERE), ("usd_per_query", HERE)])
def test_a_rung_of_another_machine_is_brought_to_ours_by_the_reference(axis: str, facts: dict[str, str]) -> None:
    """There everything takes three times as long, the copy four times: 0.06 s there are 0.02 s here, within a third."""
    ours = on_machine(rung("lora", 0.8, 0.03, 0), 1.0, facts)
    theirs = on_machine(rung("base", 0.7, 0.06), 3.0, THERE, parts=4 / 3)
    front = found(FLOOR, ours, theirs, prices={"cpu": 3.6})[axis]
    at = {point.baseline: point for point in front.points}
    here = found(FLOOR, ours, rung("base", 0.7, 0.02, facts=HERE), prices={"cpu": 3.6})
    same = next(point for point in here[axis].points if point.baseline == "base")
    assert at["base"].normalised and not at["lora"].normalised
    assert at["base"].x == pytest.approx(same.x, rel=1e-3) and at["base"].on_front
    assert at["base"].bounds is not None and at["base"].x is not None
    low, high = at["base"].bounds.low, at["base"].bounds.high
    assert low is not None and low < 0.76 * at["base"].x  # 3/4 of it, and what the timings vary by
    assert high is None or high > 1.33 * at["base"].x
    # Had it been 10 % quicker here it would have been certain; the reference is not as sure as that.
    close = on_machine(rung("base", 0.9, 0.09), 3.0, THERE, parts=4 / 3)
    probability = dict(points(found(FLOOR, ours, close, prices={"cpu": 3.6})[axis]))["lora"][1]
    assert probability is not None and 0.2 < probability < 0.8


def test_machines_that_differ_too_much_are_not_compared_save_in_memory_and_money_of_their_own() -> None:
    ours, far = on_machine(rung("lora", 0.8, 0.03, 0), 1.0, HERE), on_machine(rung("base", 0.7, 0.06), 3.0, THERE, 3.0)
    by_axis = found(FLOOR, ours, far, prices={"cpu": 3.6})
    for axis in ("latency_p95_s", "usd_per_query"):
        (reason,) = (point.reason for point in by_axis[axis].points if point.baseline == "base")
        assert "the machines are too different: × 0.11 by the copy" in reason
    own_price = found(FLOOR, ours, far, prices={"cpu": 3.6, "an older chip": 0.9})["usd_per_query"]
    assert not any(point.normalised for point in own_price.points)
    assert next(p.x for p in own_price.points if p.baseline == "base") == pytest.approx(
        0.06 * 1.5 * 0.9 / 3600, rel=0.01
    )


def test_other_threads_devices_and_batches_are_not_normalised() -> None:
    ours = on_machine(rung("lora", 0.8, 0.03, 0), 1.0, HERE)
    for change, reason in (
        ({"hardware.threads": "8"}, "numbers of threads differ"),
        ({"hardware.device": "cuda"}, "cuda is not compared with cpu"),
    ):
        front = found(FLOOR, ours, on_machine(rung("base", 0.7, 0.06), 3.0, {**THERE, **change}))["latency_p95_s"]
        assert any(reason in point.reason for point in front.points), front
