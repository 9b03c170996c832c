"""Simulated tests: what is stated is true of them, rows stay rows, and the judge is the real one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from mlbaseline.errors import DataError
from mlbaseline.judge.ladder import Ladder
from mlbaseline.judge.resampling import SimulatedTests, TrueDifference, simulate
from mlbaseline.judge.simulation import deciding_verdict
from mlbaseline.records import Decision
from tests.judge.calibration_verdict import registered, simulated_ladder, suite_of, truths

TRUTH = truths()[1]
SUITE = suite_of(TRUTH)
LADDER = simulated_ladder(TRUTH, SUITE, seed=3)


def difference(ladder: Ladder) -> float:
    tables = (ladder.checkpoints[name].evaluation.table for name in ("lora0", "champion"))
    candidate, champion = (table.scores("accuracy") for table in tables)
    assert candidate is not None and champion is not None
    return float(candidate.mean() - champion.mean())


def stated(improvement: float | None) -> TrueDifference:
    return TrueDifference("lora0", "champion", "accuracy", improvement)


@pytest.mark.parametrize("improvement", [0.0, 0.1, -0.05])
def test_the_stated_difference_is_true_of_the_tests(improvement: float) -> None:
    tests = SimulatedTests(LADDER, stated(improvement))
    assert tests.improvement == pytest.approx(improvement, abs=1e-9)
    rng = np.random.default_rng(0)
    drawn = [difference(tests.draw(1.0, rng)) for _ in range(60)]
    assert np.mean(drawn) == pytest.approx(improvement, abs=4 * np.std(drawn) / np.sqrt(60))


def test_without_a_stated_difference_rows_are_drawn_evenly() -> None:
    tests = SimulatedTests(LADDER, stated(None))
    assert tests.improvement == pytest.approx(difference(LADDER))
    assert tests.weights == pytest.approx(np.full(TRUTH.n, 1 / TRUTH.n))


def test_all_rungs_get_the_same_rows_and_a_larger_test_has_more() -> None:
    drawn = SimulatedTests(LADDER, stated(0.05)).draw(2.0, np.random.default_rng(1))
    targets = [evaluation.table.frame["target"].tolist() for rung in drawn.rungs.values() for evaluation in rung]
    assert all(each == targets[0] for each in targets) and len(targets[0]) == 2 * TRUTH.n
    original, first = (ladder.rungs["lora0"][0].table.frame for ladder in (LADDER, drawn))
    columns = ["target", "prediction", "slice.topic"]
    there, here = (set(frame[columns].itertuples(index=False)) for frame in (original, first))
    assert here <= there
    assert first["example_id"].is_unique and first["example_id"].is_monotonic_increasing


def with_column(ladder: Ladder, name: str, values: object, *, of: Collection[str]) -> Ladder:
    """A ladder some of whose rungs have other values in a column."""
    rungs = {
        rung: tuple(replace(e, table=replace(e.table, frame=e.table.frame.assign(**{name: values}))) for e in tables)
        for rung, tables in ladder.rungs.items()
        if rung in of
    }
    rungs = {**ladder.rungs, **rungs}
    by_run = {e.run_id: e for tables in rungs.values() for e in tables}
    chosen = {rung: replace(c, evaluation=by_run[c.evaluation.run_id]) for rung, c in ladder.checkpoints.items()}
    return replace(ladder, rungs=rungs, checkpoints=chosen)


def test_no_difference_can_be_true_of_rows_that_show_no_loss() -> None:
    never_worse = with_column(LADDER, "score.accuracy", 1.0, of=["lora0"])
    tests = SimulatedTests(never_worse, stated(0.0))
    assert tests.improvement == pytest.approx(0.0, abs=1e-9)
    assert difference(tests.draw(1.0, np.random.default_rng(0))) == 0.0


def test_clusters_are_drawn_whole() -> None:
    labels = pd.array([f"c{row // 5}" for row in range(TRUTH.n)], dtype="string")
    tests = SimulatedTests(with_column(LADDER, "cluster", labels, of=LADDER.rungs), stated(0.05))
    drawn = tests.draw(1.0, np.random.default_rng(2)).rungs["floor"][0].table.frame
    assert tests.improvement == pytest.approx(0.05, abs=1e-9)
    assert drawn["cluster"].nunique() == TRUTH.n // 5 and (drawn.groupby("cluster").size() == 5).all()


def test_a_difference_that_no_rows_show_is_refused() -> None:
    with pytest.raises(DataError, match="choose one between"):
        SimulatedTests(LADDER, stated(1.5))
    with pytest.raises(DataError, match="lacks nll_nats"):
        SimulatedTests(LADDER, replace(stated(0.1), metric="nll_nats"))


def test_the_real_judge_promotes_what_is_much_better_and_more_examples_settle_it() -> None:
    judge = partial(deciding_verdict, registration=registered(SUITE), trials={})
    tests = SimulatedTests(LADDER, stated(0.12))
    done: list[int] = []
    found = list(
        simulate(tests, judge, (0.5, 4.0), n_test=TRUTH.n, n_simulations=20, seed=1, advance=lambda: done.append(1))
    )
    assert [one.n for one in found] == [150, 1_200] and len(done) == 40
    few, many = (one.decisions[Decision.PROMOTE].value for one in found)
    assert few < 0.5 and many > 0.8
    assert sum(share.value for share in found[0].decisions.values()) == pytest.approx(1.0)
    again = next(iter(simulate(tests, judge, (0.5,), n_test=300, n_simulations=20, seed=1, advance=lambda: None)))
    assert again.decisions == found[0].decisions
