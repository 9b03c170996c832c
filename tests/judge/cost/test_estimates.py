"""Cost of a rung: whose price, what is added, which interval, and that the unknown stays unknown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlbaseline.judge.cost.estimates import cost_of
from mlbaseline.judge.cost.metered import MeteredEvaluation
from mlbaseline.records import Bounds
from mlbaseline.results import ResultTable
from mlbaseline.suite import CostModel, Suite, TokenPrice
from tests.support.comparisons.judged import table, task_data
from tests.support.ladders.suites import judged_suite

N = 400
DATA = task_data(N)
CPU = {"hardware.device": "cpu", "hardware.device_name": "a chip"}
RNG = np.random.default_rng(0)
SECONDS = RNG.gamma(4.0, 0.01, N)


def rows(seed: int | None = None, **columns: Any) -> ResultTable:
    made = table(DATA, np.ones(N, dtype=bool), baseline="lora", seed=seed)
    return replace(made, frame=made.frame.assign(**{"compute_s": SECONDS, **columns}))


def priced(**cost: Any) -> Suite:
    return judged_suite().model_copy(update={"cost": CostModel(**cost)})


HOURLY = priced(usd_per_hour={"cpu": 3.6}, queries=1_000)


@pytest.mark.parametrize(("device", "paid"), [("cuda", 2), ("cpu", 1)])
def test_each_process_that_trained_together_took_a_gpu_and_all_share_a_cpu(device: str, paid: int) -> None:
    made = table(DATA, np.ones(N, dtype=bool), baseline="lora", training__processes=2)
    suite = priced(usd_per_hour={"a chip": 3.6})
    assert cost_of(suite, [MeteredEvaluation(made, {**CPU, "hardware.device": device}, train_s=100.0)]).train_usd == (
        pytest.approx(0.1 * paid)
    )


def test_seconds_at_the_price_of_the_hardware_and_a_share_of_the_training() -> None:
    cost = cost_of(
        HOURLY, [MeteredEvaluation(rows(), CPU, train_s=100.0, trainable_params=5_000, peak_memory_bytes=7.0)]
    )
    assert (cost.train_s, cost.train_usd) == (100.0, pytest.approx(0.1))
    assert cost.usd_per_query == pytest.approx(SECONDS.mean() / 1000 + 0.1 / 1_000)
    assert (cost.priced_by, cost.trainable_params, cost.peak_memory_bytes) == ("hardware", 5_000, 7)
    bounds = cost.bounds["usd_per_query"]
    error = SECONDS.std(ddof=1) / math.sqrt(N) / 1000
    reach = stats.t.isf(0.025, N - 1) * error
    assert bounds.low == pytest.approx(cost.usd_per_query - reach, abs=0.1 * reach)
    assert bounds.high == pytest.approx(cost.usd_per_query + reach, abs=0.1 * reach)


def test_the_full_name_of_the_hardware_has_the_first_price() -> None:
    both = priced(usd_per_hour={"cpu": 3.6, "a chip": 7.2})
    assert cost_of(both, [MeteredEvaluation(rows(), CPU)]).usd_per_query == pytest.approx(SECONDS.mean() / 500)
    assert cost_of(priced(usd_per_hour={"cuda": 1.0}), [MeteredEvaluation(rows(), CPU)]).usd_per_query is None


def test_tokens_at_their_price_wherever_they_were_computed() -> None:
    prices = priced(usd_per_million_tokens={"lora": TokenPrice(input=2.0, output=8.0)})
    used = rows(tokens_in=np.arange(N) + 1, tokens_out=3)
    for hardware in (CPU, {"hardware.device": "unknown"}, {}):
        cost = cost_of(prices, [MeteredEvaluation(used, hardware)])
        assert cost.usd_per_query == pytest.approx(((N + 1) / 2 * 2.0 + 24.0) / 1e6)
        assert cost.priced_by == "tokens"
    uncounted = cost_of(prices, [MeteredEvaluation(rows(tokens_in=0, tokens_out=0), CPU)])
    assert math.isnan(uncounted.usd_per_query or 0.0)
    trained = cost_of(prices, [MeteredEvaluation(used, CPU, train_s=10.0)])  # the hours of the training have no price
    assert trained.usd_per_query is None


def test_what_the_source_says_comes_first_and_a_gap_in_it_is_not_filled() -> None:
    everything = priced(usd_per_hour={"cpu": 3.6}, usd_per_million_tokens={"lora": TokenPrice(input=1, output=1)})
    cost = cost_of(everything, [MeteredEvaluation(rows(cost_usd=0.25), CPU)])
    assert (cost.usd_per_query, cost.priced_by) == (0.25, "source")
    gap = np.where(np.arange(N) == 7, np.nan, 0.25)
    assert math.isnan(cost_of(everything, [MeteredEvaluation(rows(cost_usd=gap), CPU)]).usd_per_query or 0.0)


def test_nothing_spent_is_nothing_and_has_no_width() -> None:
    cost = cost_of(HOURLY, [MeteredEvaluation(rows(compute_s=0.0), CPU)])
    assert (cost.usd_per_query, cost.bounds["usd_per_query"]) == (0.0, Bounds(0.0, 0.0))


def test_people_and_answers_from_elsewhere_have_no_price_by_the_hour() -> None:
    human = replace(rows(), kind="human")
    for metered in (
        MeteredEvaluation(human, CPU),
        MeteredEvaluation(rows(), {"hardware.device": "unknown"}),
        MeteredEvaluation(rows(), {}),
        MeteredEvaluation(rows(), {"hardware.device": "remote"}),
    ):
        cost = cost_of(HOURLY, [metered])
        assert (cost.usd_per_query, cost.priced_by, cost.trainable_params) == (None, None, None)
    untrained = replace(rows(), kind="pretrained")
    assert cost_of(HOURLY, [MeteredEvaluation(untrained, CPU)]).trainable_params == 0


def test_the_first_token_of_streamed_answers_is_the_median_of_all_seeds() -> None:
    waits = [rows(seed, first_token_s=wait) for seed, wait in enumerate((0.1, 0.3))]
    assert cost_of(HOURLY, [MeteredEvaluation(table, CPU) for table in waits]).first_token_p50_s == pytest.approx(0.2)
    assert cost_of(HOURLY, [MeteredEvaluation(rows(), CPU)]).first_token_p50_s is None


def test_runs_that_differ_widen_the_interval_and_one_unpriced_run_leaves_no_price() -> None:
    alike = cost_of(HOURLY, [MeteredEvaluation(rows(seed), CPU) for seed in (0, 1, 2)])
    apart = cost_of(HOURLY, [MeteredEvaluation(rows(seed, compute_s=SECONDS * (1 + seed)), CPU) for seed in (0, 1, 2)])
    widths = [c.bounds["usd_per_query"].high - c.bounds["usd_per_query"].low for c in (alike, apart)]  # type: ignore[operator]
    assert widths[1] > 5 * widths[0]
    assert cost_of(HOURLY, [MeteredEvaluation(rows(0), CPU), MeteredEvaluation(rows(1), {})]).usd_per_query is None


def test_timings_of_all_seeds_make_the_quantiles_and_few_of_them_bound_no_tail() -> None:
    timed = [np.where(np.arange(N) % 16 == seed, SECONDS, np.nan) for seed in range(3)]
    cost = cost_of(HOURLY, [MeteredEvaluation(rows(seed, latency_s=one), CPU) for seed, one in enumerate(timed)])
    together = np.concatenate([one[~np.isnan(one)] for one in timed])
    assert cost.n_timed == len(together) == 75
    assert cost.latency_p95_s == pytest.approx(np.quantile(together, 0.95))
    assert cost.bounds["latency_p95_s"].high == together.max()
    assert cost.bounds["latency_p99_s"].high is None
    never = cost_of(HOURLY, [MeteredEvaluation(rows(latency_s=np.nan), CPU)])
    assert (never.n_timed, never.latency_p99_s, "latency_p99_s" in never.bounds) == (0, None, False)


def test_one_query_timed_in_several_runs_is_one_observation() -> None:
    timed = np.where(np.arange(N) < 90, SECONDS, np.nan)
    once = cost_of(HOURLY, [MeteredEvaluation(rows(0, latency_s=timed), CPU)])
    thrice = cost_of(HOURLY, [MeteredEvaluation(rows(seed, latency_s=timed), CPU) for seed in range(3)])
    assert once.n_timed == thrice.n_timed == 90
    assert thrice.bounds["latency_p95_s"] == once.bounds["latency_p95_s"]
    clusters = pd.array([f"c{row // 2}" for row in range(N)], dtype="string")
    paired = cost_of(HOURLY, [MeteredEvaluation(rows(0, latency_s=timed, cluster=clusters), CPU)])
    assert paired.n_timed == 45 and paired.bounds["latency_p95_s"].high is None  # 72 are needed


def noisy_batches(rng: np.random.Generator, noise: float = 0.2, size: int = 40) -> dict[str, Any]:
    """Rows of 40 to a batch, sorted by length as the engine forms them; each batch is faster or slower as a whole."""
    tokens = np.sort(rng.integers(10, 60, N))[::-1]
    batch = np.arange(N) // size
    speed = np.exp(rng.normal(0.0, noise, N // size))[batch]
    return {"tokens_in": tokens, "tokens_out": 0, "batch": batch, "compute_s": 1e-3 * tokens * speed}


def test_a_batch_is_one_observation_of_the_cost() -> None:
    """At a batch noise of 0.2 rows that count as independent cover 0.40."""
    truth = 34.5e-6 * np.exp(0.02)
    held: dict[str, list[bool]] = {"by batch": [], "by row": []}
    rng = np.random.default_rng(4)
    for _ in range(200):
        drawn = noisy_batches(rng)
        for name, columns in (("by batch", drawn), ("by row", {k: v for k, v in drawn.items() if k != "batch"})):
            bounds = cost_of(HOURLY, [MeteredEvaluation(rows(**columns), CPU)]).bounds["usd_per_query"]
            assert bounds.low is not None and bounds.high is not None
            held[name].append(bounds.low <= truth <= bounds.high)
    assert np.mean(held["by batch"]) >= 0.90
    assert np.mean(held["by row"]) <= 0.70


def test_a_single_batch_shows_no_noise_and_so_no_interval() -> None:
    one = cost_of(HOURLY, [MeteredEvaluation(rows(batch=np.zeros(N, dtype=np.int64)), CPU)])
    assert one.usd_per_query is not None and one.bounds["usd_per_query"] == Bounds(None, None)


def test_the_same_work_on_a_busy_machine_costs_the_same_in_units_of_the_reference() -> None:
    """A/A: runs whose machine is up to three times as slow, and changes while they run; so does the reference."""
    rng = np.random.default_rng(8)
    overlaps: dict[str, list[bool]] = {"seconds": [], "reference": []}
    for _ in range(60):
        costs = []
        for load in rng.uniform(1.0, 3.0, size=2):
            drawn = noisy_batches(rng, noise=0.05)
            slow = load * np.exp(rng.normal(0.0, 0.1, N // 40))[drawn["batch"]]
            reference = 0.01 * slow * np.exp(rng.normal(0.0, 0.02, N // 40))[drawn["batch"]]
            columns = {**drawn, "compute_s": drawn["compute_s"] * slow, "reference_s": reference, "latency_s": np.nan}
            costs.append(cost_of(HOURLY, [MeteredEvaluation(rows(**columns), CPU)]))
        for name, bounds in (
            ("seconds", [cost.bounds["usd_per_query"] for cost in costs]),
            ("reference", [cost.relative["compute"].bounds for cost in costs]),
        ):
            (a, b), (c, d) = ((each.low or 0.0, each.high or 0.0) for each in bounds)
            overlaps[name].append(a <= d and c <= b)
    assert np.mean(overlaps["reference"]) >= 0.95
    assert np.mean(overlaps["seconds"]) <= 0.60


def test_a_few_measurements_of_an_unsteady_machine_say_little_of_its_speed() -> None:
    drawn, bounds = noisy_batches(np.random.default_rng(9), noise=0.05), []
    for spread in (0.0, 0.3):
        speed = np.exp(np.random.default_rng(10).normal(0.0, spread, N // 40))
        columns = {**drawn, "compute_s": drawn["compute_s"] * speed[drawn["batch"]], "latency_s": np.nan}
        beside = {"reference_s": 0.01 * (1.0 + 1e-9 * drawn["batch"]) * speed[drawn["batch"]]}
        bounds.append(cost_of(HOURLY, [MeteredEvaluation(rows(**columns, **beside), CPU)]).relative["compute"].bounds)
    steady, unsteady = (float(np.log((each.high or 0.0) / (each.low or 1.0))) for each in bounds)
    assert unsteady > steady + 2 * 0.3 / np.sqrt(N // 40)


def test_answers_of_an_earlier_session_have_no_reference() -> None:
    batch = np.arange(N) // 40
    reference = np.where(batch == 0, np.nan, 0.01)
    earlier = np.where(batch == 0, -1, batch)
    columns = {"batch": earlier, "reference_s": reference, "latency_s": np.nan}
    assert cost_of(HOURLY, [MeteredEvaluation(rows(**columns), CPU)]).relative == {}
