"""Log-likelihoods against lm-evaluation-harness, on the real model and the packaged suite's prompt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, PHRASES, SHOTS, TEMPLATE, make_examples

pytestmark = pytest.mark.smollm

FOUR = ("bad", "not so bad", "good", "as good as it can be")
CASES = {
    "one token per choice": (Prompting(TEMPLATE), LABELS, 512),
    "several tokens per choice": (Prompting(TEMPLATE), PHRASES, 512),
    "one and several": (Prompting(TEMPLATE), ("bad", "so-so", "what a wonderful thing"), 512),
    "few-shot": (Prompting(TEMPLATE, SHOTS), LABELS, 512),
    "few-shot, several tokens": (Prompting(TEMPLATE, SHOTS), PHRASES, 512),
    "left cut off": (Prompting(TEMPLATE), PHRASES, 14),
    "few-shot, left cut off": (Prompting(TEMPLATE, SHOTS), PHRASES, 40),
    "trailing space": (Prompting(TEMPLATE + " "), LABELS, 512),
    "four choices, few-shot": (Prompting(TEMPLATE, SHOTS), FOUR, 512),
    "four choices, few-shot, left cut off": (Prompting(TEMPLATE, SHOTS), FOUR, 36),
    "choices that begin alike": (Prompting(TEMPLATE), ("a wonder", "a wonderful", "a wonderful day for all"), 512),
    "start token in the prompt": (Prompting("<|im_start|>user\n{text}\nIs it good?"), LABELS, 512),
}


@pytest.fixture(scope="module")
def checkpoint(smollm_gguf: Path) -> Checkpoint:
    return load_checkpoint(smollm_gguf, precision="fp32", device="cpu")


def harness_logliks(
    checkpoint: Checkpoint, prompting: Prompting, examples: Sequence[Example], max_length: int
) -> list[list[float]]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    harness = HFLM(pretrained=checkpoint.model, tokenizer=checkpoint.tokenizer, batch_size=8, max_length=max_length)
    prompts = [prompting.prompt(example) for example in examples]
    requests = [
        Instance("loglikelihood", {}, (prompt.context, continuation), index)
        for index, prompt in enumerate(prompts)
        for continuation in prompt.continuations
    ]
    nats = iter([value for value, _ in harness.loglikelihood(requests, disable_tqdm=True)])
    return [[next(nats) for _ in prompt.continuations] for prompt in prompts]


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_harness(checkpoint: Checkpoint, case: str) -> None:
    prompting, choices, max_length = CASES[case]
    examples = make_examples(choices, n=6)
    evaluation = Evaluation(max_length=max_length, latency_sample=0)
    answers = {a.example_id: a for a in ChoiceScorer(checkpoint, prompting, choices, evaluation).answer(examples)}
    for example, theirs in zip(examples, harness_logliks(checkpoint, prompting, examples, max_length), strict=True):
        assert answers[example.id].loglik_nats == pytest.approx(theirs, abs=1e-3)
    assert any(answer.truncated for answer in answers.values()) == ("cut off" in case)
