"""Against lm-evaluation-harness in bf16, where batches of another shape round otherwise: the same predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.suite import Evaluation
from tests.benchmarks.bench_scoring import RATIOS, compare, make_harness
from tests.benchmarks.tasks.scoring_items import packaged_model, sentences, tweets
from tests.engine.scoring.test_lm_eval import CASES, harness_logliks
from tests.support.ladders.choice_task import make_examples

N = 400
NAMES = ("one token per choice", "several tokens per choice", "few-shot, several tokens", "left cut off")
PRECISIONS = ("bf16", "fp32")


def test_predictions_are_those_of_the_harness_in_bf16(tiny_model: Path) -> None:
    """Of 1,600 items 98.5 %, of random weights, which prefer one choice to another by little more than rounding."""
    checkpoints = {
        precision: load_checkpoint(tiny_model, precision=precision, device="cpu") for precision in PRECISIONS
    }
    same, alike = [], []
    for name in NAMES:
        prompting, choices, longest = CASES[name]
        longest, examples = min(longest, 200), make_examples(choices, n=N)
        evaluation, chosen = Evaluation(max_length=longest, latency_sample=0), {}
        for precision, checkpoint in checkpoints.items():
            answers = ChoiceScorer(checkpoint, prompting, choices, evaluation).answer(examples)
            nats = {answer.example_id: answer.loglik_nats for answer in answers}
            chosen[precision] = np.argmax([nats[example.id] for example in examples], axis=1)
        theirs = np.argmax(harness_logliks(checkpoints["bf16"], prompting, examples, longest), axis=1)
        same += list(chosen["bf16"] == theirs)
        alike += list(chosen["bf16"] == chosen["fp32"])
    assert np.mean(same) >= 0.985
    assert np.mean(alike) < 1, "items on which rounding shows"


@pytest.mark.smollm
@pytest.mark.skipif(not torch.cuda.is_available(), reason="speed and answers on a GPU: none that torch sees")
def test_on_a_gpu_the_same_predictions_and_the_ratios_of_the_benchmark() -> None:
    checkpoint = load_checkpoint(packaged_model(), precision="bf16", device="cuda")
    harness = make_harness(checkpoint)
    asked = (tweets(300), sentences(300, checkpoint.tokenizer), sentences(300, checkpoint.tokenizer, shots=5))
    for items in asked:  # 99 % of the same predictions: `compare` holds them to it
        compared = compare(checkpoint, harness, items, rounds=3)
        assert compared.ratio("wall_s") >= RATIOS[compared.what], compared.row()
