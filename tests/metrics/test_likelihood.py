"""Perplexities by their definition; error rows cost 8 bits a byte."""

from __future__ import annotations

import math

import pytest

from mlbaseline.metrics import measure
from mlbaseline.records import Answer, Example, Signature, TaskData
from mlbaseline.results import ResultTable, tabulate

TEXTS = ("one two  three", "Größe", "x")
NATS, TOKENS = (10.0, 4.0, 1.5), (4, 3, 1)


def table(*, failed: bool = False, with_tokens: bool = True) -> ResultTable:
    examples = tuple(Example(f"{i}", {}, text, ()) for i, text in enumerate(TEXTS))
    answers = []
    for e, nats, tokens in zip(examples, NATS, TOKENS, strict=True):
        sums = {"nats": nats, **({"tokens": tokens} if with_tokens else {})}
        answers.append(Answer(e.id, None, error="boom") if failed and e.id == "1" else Answer(e.id, None, sums=sums))
    data = TaskData("test", examples, (), "d")
    return tabulate(data, answers, baseline="b", kind="p", seed=None, signature=Signature({}))


def test_nats_are_summed_before_they_are_divided() -> None:
    n_bytes = 14 + 7 + 1
    assert measure(table(), (), "token_perplexity") == pytest.approx(math.exp(15.5 / 8))
    assert measure(table(), (), "byte_perplexity") == pytest.approx(math.exp(15.5 / n_bytes))
    assert measure(table(), (), "word_perplexity") == pytest.approx(math.exp(15.5 / 5))
    assert measure(table(), (), "bits_per_byte") == pytest.approx(15.5 / n_bytes / math.log(2))


def test_a_failure_costs_what_the_text_takes_as_it_stands() -> None:
    nats = 11.5 + 7 * math.log(256)
    assert measure(table(failed=True), (), "byte_perplexity") == pytest.approx(math.exp(nats / 22))
    assert measure(table(failed=True), (), "token_perplexity") == pytest.approx(math.exp(nats / (5 + 7)))


def test_without_tokens_there_is_no_perplexity_per_token() -> None:
    assert measure(table(with_tokens=False), (), "token_perplexity") is None
    assert measure(table(with_tokens=False), (), "bits_per_byte") is not None
