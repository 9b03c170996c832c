"""The floor of a perplexity task."""

from __future__ import annotations

import math

import pytest

from mlbaseline import suite
from mlbaseline.errors import DataError
from mlbaseline.models.byte_frequencies import ByteFrequencies
from mlbaseline.records import Example, TaskData


def spec(strategy: str) -> suite.Trivial:
    return suite.Trivial.model_validate({"kind": "trivial", "strategy": strategy})


def texts(*found: str) -> tuple[Example, ...]:
    return tuple(Example(f"{i}", {"text": text}, text, ()) for i, text in enumerate(found))


TRAIN = TaskData("train", texts("aab", "é"), (), "digest of train")


def test_uniform_is_eight_bits_a_byte() -> None:
    answers = list(ByteFrequencies(spec("uniform"), train=None).answer(texts("abc", "é")))
    assert [a.sums["nats"] for a in answers] == pytest.approx([3 * math.log(256), 2 * math.log(256)])
    assert all("tokens" not in answer.sums and answer.error is None for answer in answers)


def test_frequencies_are_those_of_train_smoothed() -> None:
    (answer,) = ByteFrequencies(spec("stratified"), train=TRAIN).answer(texts("abz"))
    total = 5 + 256  # five bytes, and one more of each of the 256
    assert answer.sums["nats"] == pytest.approx(-math.log(3 / total) - math.log(2 / total) - math.log(1 / total))


def test_frequencies_need_train() -> None:
    with pytest.raises(DataError, match="which the suite does not have"):
        ByteFrequencies(spec("stratified"), train=None)
    fields = ByteFrequencies(spec("stratified"), train=TRAIN).signature_fields()
    assert fields["model.train_digest"] == "digest of train"
