"""A rung's estimate by a metric of the whole corpus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbaseline.judge.contrasts.inference import estimate
from mlbaseline.results import LOGLIK, ResultTable
from tests.support.comparisons.judged import LABELS, table, task_data


def seed_table(seed: int) -> ResultTable:
    """Answers with chances between 50 and 95 %, of which 60 % are right: far from calibrated."""
    rng = np.random.default_rng(seed)
    made = table(task_data(300), rng.random(300) < 0.6, baseline="lora", seed=seed)
    chance = rng.uniform(0.5, 0.95, 300)
    for label in LABELS:
        is_chosen = (made.frame["prediction"] == label).to_numpy()
        made.frame[f"{LOGLIK}{label}"] = np.log(np.where(is_chosen, chance, 1 - chance))
    return replace(made, frame=made.frame)


@pytest.mark.parametrize("metric", ["ece", "macro_f1"])
def test_over_seeds_it_is_the_mean_of_the_seeds(metric: str) -> None:
    tables, rng = [seed_table(seed) for seed in range(3)], np.random.default_rng(0)
    alone = [estimate([one], LABELS, metric, level=0.95, rng=rng) for one in tables]
    together = estimate(tables, LABELS, metric, level=0.95, rng=rng)
    assert together is not None
    assert together.value == pytest.approx(np.mean([one.value for one in alone if one is not None]))
    assert together.low < together.value < together.high
