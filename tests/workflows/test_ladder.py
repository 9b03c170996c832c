"""The whole way of a suite, as a user walks it."""

from __future__ import annotations

from tests.workflows.making import Workplace


def test_the_whole_way(workplace: Workplace) -> None:
    found = workplace.document("run", str(workplace.suite))
    assert found["comparison"]["verdict"] == "promote"
    assert found["promotion"]["version"] == "1"
