"""Batches that another process has computed: the bits of a model that answers alone, whatever the other one did."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from mlbaseline.engine.inference.execution import Execution, SharedBatches
from mlbaseline.engine.inference.joint_model import JointModel
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.result_cache import ResultCache, pack_results
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.records import Model
from tests.support.models.answered_tasks import (
    EXAMPLES,
    TASKS,
    UNTIMED,
    answers_of,
    counting_forward_passes,
    model_of,
)

pytestmark = pytest.mark.usefixtures("own_cache")


class Helper:
    """Another process, which has computed every second batch before this one begins.

    sends: whether its results arrive; it may be lost before they do.
    """

    def __init__(self, *, sends: bool) -> None:
        self._sends, self._is_turn, self.waited = sends, False, 0
        self.taken: set[str] = set()
        self._results: list[bytes] = []

    def compute(self, checkpoint: Checkpoint, kind: str, folder: Path) -> None:
        helper, cache = self, ResultCache({"kind": kind}, folder=folder)

        class EverySecond:
            def take(self, key: str) -> bool:
                helper._is_turn = not helper._is_turn
                helper.taken |= {key} if helper._is_turn else set()
                return helper._is_turn

            def add(self, results: Mapping[str, RequestResult]) -> None:
                helper._results += [pack_results(results)] if helper._sends else []

        part = model_of(checkpoint, TASKS[kind], UNTIMED, Execution(cache, shared=EverySecond()))
        elsewhere = [answer for answer in answers_of(part, n_timed=0) if answer.error]
        assert 0 < len(elsewhere) < len(EXAMPLES), "it computes a part"

    def take(self, key: str) -> bool:
        return key not in self.taken

    def arrived(self) -> list[bytes]:
        results, self._results = self._results, []
        return results

    def wait(self) -> None:
        self.waited += 1


@pytest.mark.parametrize("sends", [True, False], ids=["arrives", "is lost"])
@pytest.mark.parametrize("kind", ["choice", "perplexity", "generate"])
def test_answers_are_those_of_a_model_that_answers_alone(
    checkpoint: Checkpoint, tmp_path: Path, kind: str, sends: bool
) -> None:
    with counting_forward_passes(checkpoint.model) as alone:
        expected = answers_of(model_of(checkpoint, TASKS[kind], UNTIMED), n_timed=0)
    helper = Helper(sends=sends)
    helper.compute(checkpoint, kind, tmp_path)
    cache = ResultCache({"kind": kind})

    def make_part(shared: SharedBatches) -> Model:
        return model_of(checkpoint, TASKS[kind], UNTIMED, Execution(cache, shared=shared))

    whole = model_of(checkpoint, TASKS[kind], UNTIMED, Execution(cache))
    joint = JointModel(whole, make_part, cache, len(EXAMPLES), lambda: nullcontext(helper))
    with counting_forward_passes(checkpoint.model) as passes:
        assert answers_of(joint, n_timed=0) == expected
    assert helper.waited == 1
    assert (len(passes) < len(alone)) == sends, "what has arrived is not computed again"


def test_some_of_the_examples_are_answered_alone(checkpoint: Checkpoint) -> None:
    cache = ResultCache({})
    whole = model_of(checkpoint, TASKS["choice"], UNTIMED, Execution(cache))

    def refuse() -> nullcontext[Helper]:
        raise AssertionError("helpers compute the batches of all examples, which are others")

    joint = JointModel(whole, lambda _: whole, cache, len(EXAMPLES) + 1, refuse)
    assert answers_of(joint, n_timed=0) == answers_of(whole, n_timed=0)
