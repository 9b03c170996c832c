from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mlbaseline.engine.pace import (
    AnsweringPace,
    SecondsRange,
    TrainingPace,
    measure_answering,
    measure_training,
    with_half_of_the_layers,
)
from mlbaseline.engine.rungs import OpenedRung
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Lora
from tests.support.ladders.choice_task import make_examples
from tests.support.models.training_jobs import FULL, LORA, make_job


def test_a_split_takes_its_examples_and_those_timed_alone() -> None:
    pace = AnsweringPace(load_s=10.0, example_s=SecondsRange(0.1, 0.2), alone_s=1.0, peak_bytes=5)
    assert pace.seconds(100, 24) == SecondsRange(10 + 24 + 10, 10 + 24 + 20)
    assert pace.seconds(10, 24) == SecondsRange(10 + 10 + 1, 10 + 10 + 2), "no more are timed alone than there are"


def test_a_training_takes_its_tokens_and_its_measurements_of_dev() -> None:
    pace = TrainingPace(
        load_s=3.0,
        once_s=50.0,
        token_s=SecondsRange(0.01, 0.02),
        dev_example_s=0.5,
        n_tokens=1_000,
        n_dev_examples=20,
        n_layers=4,
        peak_bytes=1,
    )
    assert pace.seconds == SecondsRange(3 + 10 + 10, 3 + 10 + 20)


class Counting:
    """Answers, and counts what it is asked; times the first call's examples alone, as models do."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        is_first = not self.calls
        self.calls.append([example.id for example in examples])
        for example in examples:
            yield Answer(example.id, prediction="x", latency_s=1e-7 if is_first else None)


@pytest.mark.parametrize("n", [1, 3, 400])
def test_few_examples_are_answered_each_once_after_the_warm_up(n: int) -> None:
    model = Counting()
    pace = measure_answering(lambda: OpenedRung(model), make_examples(n=n), "cpu")
    warm_up, *groups = model.calls
    asked = [example for group in groups for example in group]
    assert len(warm_up) == min(n, 2)
    assert len(asked) == len(set(asked)) == min(n, 96)
    assert pace.alone_s == 1e-7
    assert 0 <= pace.example_s.low <= pace.example_s.high
    assert pace.peak_bytes > 0


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("spec", [LORA, FULL], ids=["lora", "full"])
def test_a_few_steps_of_a_training_are_timed(tiny_model: Path, own_cache: Path, spec: Lora) -> None:
    job = make_job(tiny_model, spec)
    pace = measure_training(job)
    assert pace.n_layers == 2
    assert pace.n_dev_examples == 15 * spec.epochs
    assert pace.token_s.low > 0
    assert pace.seconds.low >= pace.n_tokens * pace.token_s.low
    assert not (own_cache / "trained").exists(), "nothing of it is kept"
    assert measure_training(replace(job, dev=None)).dev_example_s == 0


def test_half_of_the_layers_are_proposed_where_the_suite_leaves_it_open(tiny_model: Path) -> None:
    halved = with_half_of_the_layers(make_job(tiny_model, LORA), 30)
    assert halved is not None
    assert halved.spec.last_layers == 15  # type: ignore[union-attr]
    chosen = LORA.model_copy(update={"last_layers": 3})
    assert with_half_of_the_layers(make_job(tiny_model, chosen), 30) is None
    assert with_half_of_the_layers(make_job(tiny_model, FULL), 30) is None
