"""Seeds are trained in a row; one that fails costs no other its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlbaseline.engine.rungs import Rung
from mlbaseline.errors import MlbaselineError
from mlbaseline.records import Signature
from mlbaseline.workflows.evaluations.rung_evaluation import _prepare


def rung(seed: int, prepare: Callable[[], object] | None) -> Rung:
    return Rung("lora", "peft", seed, Signature({}), {}, None, prepare)


@pytest.mark.parametrize(("failing", "done"), [(None, [0, 1, 2]), (1, [0]), (2, [0, 1])])
def test_a_later_seed_that_fails_waits_for_its_turn(failing: int | None, done: list[int]) -> None:
    trained: list[int] = []

    def train(seed: int) -> None:
        if seed == failing:
            raise MlbaselineError("does not work")
        trained.append(seed)

    first, *later = (rung(seed, lambda seed=seed: train(seed)) for seed in range(3))
    _prepare(first, later)
    assert trained == done


def test_the_one_whose_turn_it_is_fails() -> None:
    def fail() -> None:
        raise MlbaselineError("does not work")

    with pytest.raises(MlbaselineError, match="does not work"):
        _prepare(rung(0, fail), [rung(1, lambda: pytest.fail("trained in spite of it"))])


def test_what_is_not_trained_needs_no_preparing() -> None:
    _prepare(rung(0, None), [rung(1, None)])
