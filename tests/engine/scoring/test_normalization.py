"""Choices in the normalisations of lm-evaluation-harness."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, TASK, TEMPLATE, TEXTS

PHRASES = ("bad", "Größenwahn, neutral at that", "what a wonderful thing it is")
EVALUATION = Evaluation(max_length=200, latency_sample=1)


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def make(own: bool) -> tuple[Example, ...]:
    return tuple(
        Example(f"e{i}", {"text": text}, LABELS[0], tuple(f"{c} {i}" for c in PHRASES) if own else PHRASES)
        for i, text in enumerate(TEXTS)
    )


def answers_of(checkpoint: Checkpoint, examples: tuple[Example, ...], by: str) -> list[Answer]:
    task = TASK.model_copy(update={"normalisation": by})
    answering = AnsweringSpec(task, EVALUATION, checkpoint.precision, checkpoint.device)
    model = answering.build(checkpoint, Prompting(TEMPLATE))
    return sorted(model.answer(examples), key=lambda answer: answer.example_id)


def unconditional_nats(checkpoint: Checkpoint, example: Example) -> list[float]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    harness = HFLM(pretrained=checkpoint.model, tokenizer=checkpoint.tokenizer, batch_size=4, max_length=200)
    requests = [Instance("loglikelihood", {}, ("", f" {choice}"), i) for i, choice in enumerate(example.choices)]
    return [nats for nats, _ in harness.loglikelihood(requests, disable_tqdm=True)]


@pytest.mark.parametrize("own", [False, True], ids=["same choices", "choices of each example"])
@pytest.mark.parametrize("by", ["none", "byte", "token", "unconditional"])
def test_the_choice_is_that_of_the_normalised_scores(checkpoint: Checkpoint, by: str, own: bool) -> None:
    examples = make(own)
    raw = answers_of(checkpoint, examples, "none")
    for example, plain, answer in zip(examples, raw, answers_of(checkpoint, examples, by), strict=True):
        nats = np.array(plain.loglik_nats)
        tokens = [len(checkpoint.tokenizer(f": {choice}")["input_ids"]) - 1 for choice in example.choices]
        scores = {
            "none": lambda nats=nats: nats,
            "byte": lambda nats=nats, e=example: nats / [len(choice.encode()) for choice in e.choices],
            "token": lambda nats=nats, tokens=tokens: nats / tokens,
            "unconditional": lambda nats=nats, e=example: nats - unconditional_nats(checkpoint, e),
        }[by]()
        assert answer.prediction == LABELS[int(np.argmax(scores))]
        assert answer.loglik_nats == plain.loglik_nats
        assert answer.error is None


def test_normalising_matters_here(checkpoint: Checkpoint) -> None:
    found = {by: [a.prediction for a in answers_of(checkpoint, make(True), by)] for by in ("none", "byte", "token")}
    assert found["none"] != found["byte"]


def test_what_is_scored_without_a_prompt_has_its_price(checkpoint: Checkpoint) -> None:
    plain, own = (answers_of(checkpoint, make(True), by) for by in ("none", "unconditional"))
    assert sum(a.latency_s is not None for a in own) == sum(a.latency_s is not None for a in plain) == 1


def test_an_example_that_fails_stays_a_failure(checkpoint: Checkpoint) -> None:
    examples = (
        *make(True),
        Example("e9", {}, LABELS[0], PHRASES),
        Example("f", {"text": "x"}, LABELS[0], ("a", "", "b")),
    )
    found = {answer.example_id: answer for answer in answers_of(checkpoint, examples, "byte")}
    assert found["e9"].error is not None
    assert found["e0"].error is found["f"].error is None
