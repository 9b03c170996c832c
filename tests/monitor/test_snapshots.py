"""Snapshots of a champion: rarely a breach where there is none, and found where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.monitor.snapshots import Snapshot, SnapshotOutcome, check_anchor, judge_snapshot


def history(champion: float, *, periods: int, seed: int, n: int = 200, is_paired: bool = True) -> list[Snapshot]:
    """Snapshots of a champion with this accuracy beside a reference with 0.8."""
    rng = np.random.default_rng(seed)
    found: list[Snapshot] = []
    for period in range(periods):
        reference = (rng.random(n) < 0.8).astype(float)
        flipped = rng.random(n) < 0.1
        answers = (
            np.where(flipped, rng.random(n) < champion, reference) if champion == 0.8 else rng.random(n) < champion
        )
        found.append(
            judge_snapshot(
                answers,
                reference,
                is_paired=is_paired,
                tolerated=0.03,
                level=0.95,
                before=[one.log_e for one in found],
                period=period,
                anchor=None,
            )
        )
    return found


def test_a_champion_that_is_as_good_is_left_alone() -> None:
    """At the margin's inside: of 60 champions over 12 periods, at most a few by chance (α = 5 %)."""
    breaches = sum(history(0.8, periods=12, seed=seed)[-1].outcome is SnapshotOutcome.BREACH for seed in range(60))
    assert breaches <= 3


@pytest.mark.parametrize("is_paired", [True, False])
def test_a_worse_one_is_found_and_stays_found(is_paired: bool) -> None:
    found = history(0.6, periods=6, seed=1, is_paired=is_paired)
    outcomes = [one.outcome for one in found]
    first = outcomes.index(SnapshotOutcome.BREACH)
    assert first <= 2
    assert set(outcomes[first:]) == {SnapshotOutcome.BREACH}
    assert found[-1].log_e_total == pytest.approx(sum(one.log_e for one in found))
    assert found[0].low <= found[0].delta <= found[0].high < 0


def test_a_few_items_are_shown_and_decide_nothing() -> None:
    (found,) = history(0.0, periods=1, seed=2, n=20)
    assert (found.log_e, found.outcome) == (0.0, SnapshotOutcome.HOLDS)
    assert found.delta < -0.5


def test_the_anchor_tells_a_changed_server_from_a_changed_world() -> None:
    rng = np.random.default_rng(0)
    then = (rng.random(200) < 0.8).astype(float)
    same = check_anchor(then, then, level=0.95)
    assert (same.changed, same.has_moved) == (0, False)
    now = np.where(rng.random(200) < 0.2, 0.0, then)
    moved = check_anchor(now, then, level=0.95)
    assert moved.has_moved
    assert moved.changed == int((now != then).sum())
    assert moved.low <= moved.delta <= moved.high < 0
    assert check_anchor(np.array([]), np.array([]), level=0.95).n == 0
