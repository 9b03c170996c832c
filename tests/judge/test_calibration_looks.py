"""The quick form of the calibration of registered looks, on suites of its own."""

from __future__ import annotations

import math

from tests.judge.calibration_looks import pass_of_a_growing_test, simulate, truths

N_SUITES = 40


def test_looks_keep_their_error_rates_and_save_examples() -> None:
    by_name = {truth.name: truth for truth in truths()}
    null = simulate(by_name["two candidates over two, all equal"], N_SUITES, first_seed=0)
    assert null["false pass"] <= 0.025 * 2 + 2 * math.sqrt(0.05 / N_SUITES)
    assert null["cover"] >= 0.95 - 2 * math.sqrt(0.05 / N_SUITES)
    assert null["examples"] < 600
    better = simulate(by_name["one candidate, +0.10"], N_SUITES, first_seed=1_000)
    assert better["shown"] > 0.95
    assert better["examples"] < 600
    much = simulate(by_name["one candidate, +0.20"], N_SUITES, first_seed=2_000)
    assert much["examples"] < 320
    margin = simulate(by_name["at its guardrail's margin, stop: all"], N_SUITES, first_seed=3_000)
    assert margin["false pass"] <= 0.025 + 2 * math.sqrt(0.025 / N_SUITES)


def test_a_test_that_grows_keeps_its_error_rate() -> None:
    passes = [pass_of_a_growing_test(seed, may_grow=True, counted=True) for seed in range(120)]
    assert sum(passes) <= 120 * 0.025 + 2 * math.sqrt(120 * 0.025)
