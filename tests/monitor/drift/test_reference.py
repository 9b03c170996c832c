"""The reference is read from the tables of its runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlbaseline.errors import IncomparableError
from mlbaseline.monitor import OVERALL, WatchedSlice
from mlbaseline.monitor.drift.reference import reference_of
from mlbaseline.records import Signature
from mlbaseline.results import ResultTable


def table(n: int = 200, seed: int = 0, **columns: object) -> ResultTable:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "example_id": [f"e{position:04d}" for position in range(n)],
            "cluster": [None] * n,
            "slice.topic": np.where(np.arange(n) < 2, "rare", np.where(np.arange(n) % 2, "a", "b")),
            "score.accuracy": (rng.random(n) < 0.8).astype(float),
            "tokens_in": rng.integers(5, 50, n),
            "latency_s": rng.exponential(0.1, n),
        }
    ).assign(**columns)
    return ResultTable("champion", "production", None, Signature({}), frame)


def test_the_bound_is_a_one_sided_limit_of_the_recorded_loss() -> None:
    one = table()
    reference = reference_of([one], metric="accuracy", slices=["topic"], run_ids=["r1"])
    overall = reference.losses[OVERALL]
    failures = int((1 - one.frame["score.accuracy"]).sum())
    assert overall.loss == pytest.approx(failures / 200)
    assert overall.upper == pytest.approx(
        stats.binomtest(failures, 200).proportion_ci(0.9, method="wilson").high, abs=1e-9
    )
    assert reference.values("topic") == ("a", "b")  # two examples say nothing about `rare`
    assert WatchedSlice("topic", "rare") not in reference.losses
    assert reference.shares["topic"]["rare"] == pytest.approx(0.01)


def test_several_seeds_are_one_reference() -> None:
    reference = reference_of([table(), table(seed=1)], metric="accuracy", slices=[])
    assert reference.losses[OVERALL].n == 200


def test_clusters_widen_the_bound() -> None:
    clustered = table(cluster=[f"c{position // 10}" for position in range(200)])
    score = np.repeat(np.random.default_rng(0).random(20) < 0.8, 10).astype(float)
    clustered.frame["score.accuracy"] = score
    alone = ResultTable("champion", "production", None, Signature({}), clustered.frame.assign(cluster=[None] * 200))
    uppers = [reference_of([each], metric="accuracy", slices=[]).losses[OVERALL].upper for each in (clustered, alone)]
    assert uppers[0] > uppers[1]


def test_what_cannot_be_a_reference_is_refused() -> None:
    with pytest.raises(IncomparableError, match=r"no score\.exact_match"):
        reference_of([table()], metric="exact_match", slices=[])
    with pytest.raises(IncomparableError, match="different examples"):
        reference_of([table(), table(n=100)], metric="accuracy", slices=[])
