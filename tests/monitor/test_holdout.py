"""The holdout: a bounded sample that depends neither on the order nor on how often an item is offered."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from mlbaseline.monitor import DAY_US
from mlbaseline.monitor.holdout import Reservoir, file_items, latest_closed_period, period_of
from tests.support.traffic import START, event

DAY = timedelta(days=1)
FIRST_DAY = int(START.timestamp() // 86_400)


def sampled(names: list[tuple[str, str]], size: int) -> list[str]:
    reservoir: Reservoir[str] = Reservoir(size)
    for stratum, name in names:
        reservoir.add(stratum, name, name)
    return reservoir.sample()


def test_the_sample_is_the_same_in_any_order_and_bounded() -> None:
    names = [("x" if number % 4 else "y", f"r{number}") for number in range(4_000)]
    expected = sampled(names, 100)
    shuffled = random.Random(1).sample(names, len(names))
    assert sampled(shuffled, 100) == expected
    assert Counter(int(name[1:]) % 4 == 0 for name in expected) == {True: 25, False: 75}
    assert len(set(expected)) == 100


def test_every_item_has_the_same_chance() -> None:
    """Of 2,000 items 200 are drawn: the first half gets 100 ± 4 standard deviations."""
    drawn = sampled([("x", f"r{number}") for number in range(2_000)], 200)
    assert abs(sum(int(name[1:]) < 1_000 for name in drawn) - 100) < 4 * (200 * 0.25 * 0.9) ** 0.5


def test_an_item_that_comes_twice_counts_once() -> None:
    assert sorted(sampled([("x", "a"), ("x", "b"), ("x", "a")], 5)) == ["a", "b"]
    assert sampled([], 5) == []


@pytest.mark.parametrize(("refresh", "days"), [("daily", 1), ("weekly", 7), ("monthly", 30)])
def test_periods_follow_each_other_and_close_after_the_label_delay(refresh: str, days: int) -> None:
    delay = timedelta(days=2)
    for moment in range(FIRST_DAY * 24, (FIRST_DAY + 40) * 24, 5):
        latest_us = moment * DAY_US // 24
        period = latest_closed_period(latest_us, refresh, delay)
        assert period.last_day - period.first_day == days - 1
        following = period_of(period.number + 1, refresh)
        assert following.first_day == period.last_day + 1
        closed_at_us = (period.last_day + 1) * DAY_US + 2 * DAY_US
        assert closed_at_us <= latest_us < closed_at_us + days * DAY_US


def test_items_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    asked = {"input.text": "Where is my bill?", "input.country": None, "target": "billing", "slice.topic": "billing"}
    rows = [
        event("a", **asked),
        event("later", at=30 * DAY, **asked),
        event("unlabelled", **{"input.text": "?"}),
        event("without inputs", target="billing"),
        event("bad", arm="B", **asked),
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    (item,) = file_items(path, latest_closed_period((FIRST_DAY + 12) * DAY_US, "monthly", timedelta(0)))
    assert (item.request_id, item.target) == ("a", "billing")
    assert item.inputs == {"text": "Where is my bill?"}
    assert item.slices == {"topic": "billing"}
