"""The reference workload is timed between batches, and every answer of now gets the measurement around its time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlbaseline.engine import reference
from mlbaseline.engine.reference import NumpyWorkload, Reference, ReferenceTiming, TorchWorkload
from mlbaseline.records import Answer


class Clocked:
    """Takes one second longer each time."""

    def __init__(self) -> None:
        self.n = 0

    def time(self) -> ReferenceTiming:
        self.n += 1
        return ReferenceTiming(self.n / 2, self.n / 4, self.n / 4)


def answers() -> Iterator[Answer]:
    for number, batch in enumerate([0, 0, 1, 1, 2, -7, None]):
        yield Answer(f"e{number}", "x", batch=batch)


def test_answers_of_one_batch_share_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "EVERY_S", 0.0)
    timed = Reference(Clocked())
    found = list(timed.beside(answers()))
    assert [answer.example_id for answer in found] == [f"e{number}" for number in range(7)]
    values = [answer.reference_s for answer in found]
    # One warm-up, then medians of three: 3, 6, 9, …; an answer has the mean of those before and after it.
    assert values == [4.5, 4.5, 7.5, 7.5, 10.5, None, 16.5]
    assert timed.figures()["reference", "count"] == 6.0


def test_a_query_that_is_timed_alone_has_the_reference_of_just_then() -> None:
    queries = [Answer(f"e{batch}", "x", batch=batch, latency_s=0.1) for batch in (0, -1)]
    timed = Reference(Clocked())
    assert [answer.reference_s for answer in timed.beside(iter(queries))] == [5.0, 6.0]
    assert timed.figures()["reference", "count"] == 4.0


def test_a_long_query_has_the_mean_of_as_long_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = [Answer(f"e{seconds:g}", "x", latency_s=seconds) for seconds in (10.0, 1000.0)]
    monkeypatch.setattr(reference, "LONGEST_S", 20.0)
    found = [answer.reference_s for answer in Reference(Clocked()).beside(iter(queries))]
    assert found == [5.5, 8.0]  # 5 and 6 until 10 seconds are full; 7, 8 and 9 until the longest is


@pytest.mark.parametrize("workload", [NumpyWorkload(), TorchWorkload("cpu")], ids=["numpy", "torch"])
def test_the_workloads_take_time(workload: NumpyWorkload | TorchWorkload) -> None:
    timed = Reference(workload)
    assert timed.measure() > 0.0
    figures = timed.figures()
    assert figures["reference", "matmul_flops_per_s"] > 1e6 and figures["reference", "copy_bytes_per_s"] > 1e6


def test_nothing_measured_is_nothing_stored() -> None:
    assert Reference(Clocked()).figures() == {}
