"""How the nodes of a cluster are divided, without a cluster: the nodes are given."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mlbaseline.suite.reading import parse_suite
from mlbaseline.workflows.evaluations.executors import ray_cluster
from mlbaseline.workflows.evaluations.executors.ray_cluster import choose_slot
from mlbaseline.workflows.evaluations.executors.rung_task import count_helpers, split_seeds
from tests.support.ladders.suites import reviews_suite

GIB = 2**30
HEAD = {"CPU": 0.0, "memory": 8.0 * GIB}
SUITE = parse_suite(
    reviews_suite(
        """
metrics: [accuracy]
seeds: [0, 1]
baselines:
  zero_shot: {kind: pretrained, model: {source: model}}
  lora: {kind: peft, method: lora, base: zero_shot, learning_rate: 1.0e-3}
"""
    )
)


@pytest.mark.parametrize(
    ("nodes", "threads", "expected"),
    [
        ([{"CPU": 16.0, "memory": 64.0 * GIB}, {"CPU": 8.0, "memory": 32.0 * GIB}], None, (8, 0, 8, 2)),
        ([{"CPU": 16.0, "memory": 64.0 * GIB}], "2", (2, 0, 2, 8)),
        ([{"CPU": 16.0, "GPU": 4.0, "memory": 64.0 * GIB}, {"CPU": 64.0, "memory": GIB}], None, (4, 1, 4, 4)),
        ([{"CPU": 2.0, "GPU": 8.0, "memory": 64.0 * GIB}], None, (1, 1, 1, 2)),
    ],
)
def test_a_model_takes_a_gpu_or_a_node(
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[Mapping[str, float]],
    threads: str | None,
    expected: tuple[int, int, int, int],
) -> None:
    monkeypatch.setattr(ray_cluster, "live_nodes", lambda: [HEAD, *nodes])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    slot = choose_slot()
    assert (slot.cpus, slot.gpus, slot.threads, slot.count_on(nodes[0])) == expected
    assert slot.memory_bytes * slot.count_on(nodes[0]) <= nodes[0]["memory"]


def test_what_is_split_into_tasks_and_who_helps() -> None:
    assert split_seeds(SUITE, "zero_shot", (0, 1)) == {"zero_shot": (0, 1)}
    assert split_seeds(SUITE, "lora", (0, 1)) == {"lora (seed 0)": (0,), "lora (seed 1)": (1,)}
    assert count_helpers(SUITE, "lora", 1000, slots=4) == 3, "one evaluates, the others help"
    assert count_helpers(SUITE, "zero_shot", 120, slots=4) == 1
    assert count_helpers(SUITE, "zero_shot", 90, slots=4) == 0, "too few to open the model for"
    assert count_helpers(SUITE, "zero_shot", 1000, slots=1) == 0
