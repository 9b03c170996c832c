"""Log-likelihoods of whole texts, against the definition and against lm-evaluation-harness."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from mlbaseline.engine.inference.tokenization import split_into_windows
from mlbaseline.engine.scoring.perplexity import TextScorer
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import TEXTS

DOCUMENTS = (*TEXTS, " ".join(TEXTS), "Größe: 5 µm — naïve café\n\n" * 6)


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def answers_of(checkpoint: Checkpoint, max_length: int, stride: int | None = None) -> list[Answer]:
    examples = [Example(f"{i:02}", {"text": text}, text, ()) for i, text in enumerate(DOCUMENTS)]
    evaluation = Evaluation(max_length=max_length, latency_sample=1, batch_tokens=256)
    scorer = TextScorer(checkpoint, Prompting("{text}"), evaluation, stride=stride)
    return sorted(scorer.answer(examples), key=lambda answer: answer.example_id)


@pytest.mark.parametrize("max_length", [250, 32, 9])
def test_agrees_with_the_harness(checkpoint: Checkpoint, max_length: int) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    harness = HFLM(pretrained=checkpoint.model, tokenizer=checkpoint.tokenizer, batch_size=4, max_length=max_length)
    requests = [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(DOCUMENTS)]
    theirs = harness.loglikelihood_rolling(requests, disable_tqdm=True)
    found = answers_of(checkpoint, max_length)
    assert [-answer.sums["nats"] for answer in found] == pytest.approx(theirs, abs=1e-3)
    assert all(answer.error is None and answer.compute_s > 0 for answer in found)
    assert sum(answer.latency_s is not None for answer in found) == 1


def test_with_a_stride_every_token_has_more_in_front_of_it(checkpoint: Checkpoint) -> None:
    tokenizer, model = checkpoint.tokenizer, checkpoint.model
    for text, answer in zip(DOCUMENTS, answers_of(checkpoint, 16, stride=4), strict=True):
        tokens = tokenizer(text)["input_ids"]
        nats = 0.0
        read = [tokenizer.bos_token_id, *tokens]
        for position, token in enumerate(tokens):
            window = max(0, (position - 16) // 4 + 1) if position >= 16 else 0
            end = min(16 + 4 * window, len(tokens))
            start = max(0, end - 16)
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([read[start : position + 1]])).logits[0, -1].float()
            nats -= float(logits.log_softmax(-1)[token])
        assert answer.sums == {"nats": pytest.approx(nats, abs=1e-3), "tokens": len(tokens)}


@pytest.mark.parametrize(("length", "stride"), [(10, 10), (10, 3), (10, 1), (1, 1)])
def test_windows_predict_every_token_once_and_stay_within_the_limit(length: int, stride: int) -> None:
    tokens = tuple(range(100, 137))
    windows = list(split_into_windows(99, tokens, length, stride))
    assert tuple(token for window in windows for token in window.targets) == tokens
    assert all(0 < len(window.targets) <= len(window.input_tokens) <= length for window in windows)


def test_a_text_without_tokens_is_an_error_row(checkpoint: Checkpoint) -> None:
    examples = [Example("a", {"text": ""}, "", ()), Example("b", {"text": "fine"}, "fine", ())]
    scorer = TextScorer(checkpoint, Prompting("{text}"), Evaluation(max_length=64, latency_sample=0))
    found = {answer.example_id: answer for answer in scorer.answer(examples)}
    assert found["a"].error is not None and "no tokens" in found["a"].error
    assert found["b"].error is None
