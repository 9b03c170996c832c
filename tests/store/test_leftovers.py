"""Leftovers of promotions: found without being touched, and cleared in an order that works."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlbaseline.store.comparison_runs import ComparisonRun
from mlbaseline.store.leftovers import LeftoverKind, find_leftovers
from mlbaseline.store.registry.promotion import promote
from mlbaseline.store.server.connection import Tracker
from mlbaseline.suite import Suite
from tests.store.registry.test_faults import DiedError, die_at, kill_writer_of
from tests.support.ladders.stored import aliases, planned

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("announced", {"champion": "1"}),
        ("half", {"champion": "2", "previous": "1"}),
        ("whole", {"champion": "2", "previous": "1"}),
    ],
)
def test_a_promotion_that_died(
    tracker: Tracker, suite: Suite, compare: Callable[..., ComparisonRun], step: str, after: dict[str, str]
) -> None:
    model = promote(tracker, suite, planned(tracker, suite, compare(), allow_rolled_back=True)).model
    plan = planned(tracker, suite, compare(), allow_rolled_back=True)
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, step)
        with pytest.raises(DiedError):
            promote(tracker, suite, plan)
    assert find_leftovers(tracker, experiment=tracker.experiment, model=model) == [], "its process is at work"
    kill_writer_of(tracker, "promotion")
    before = aliases(tracker, model)
    found = find_leftovers(tracker, experiment=tracker.experiment, model=model)
    assert aliases(tracker, model) == before
    assert [leftover.kind.value for leftover in found] == ["half-done move", "dead run"]
    for leftover in found:
        leftover.clear()
    assert find_leftovers(tracker, experiment=tracker.experiment, model=model) == []
    assert aliases(tracker, model) == after
    versions = tracker.client.search_model_versions(f"name = '{model}'")
    assert {str(version.version) for version in versions} == set(after.values())


def test_kinds_have_names_for_people() -> None:
    assert [kind.value for kind in LeftoverKind] == ["dead run", "half-done move", "orphan version", "torn cache entry"]
