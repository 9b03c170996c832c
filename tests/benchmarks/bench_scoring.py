"""Choice scoring beside lm-evaluation-harness: python -m tests.benchmarks.bench_scoring [--items N] [--rounds N] [--quick]

Same model object, items, precision (fp32 on a CPU without bf16) and threads, in turn in one process, several rounds; then
both as a user starts them, one process for each command. A ratio divides times of the same round, and the median
of the rounds is shown, so that a machine that others use too weighs on both. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from mlbaseline.engine.scoring import ChoiceScorer
from mlbaseline.models.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.suite import Evaluation
from tests.benchmarks.scoring_items import Items, packaged_model, sentences, tweets

HARNESS_BATCH = 16
"""Rows; on these two cores the best of 8, 16, 32 and 64, and what its own `auto` chooses is slower."""


@dataclass
class Timing:
    """Seconds of every round, and tokens that the model was given in one of them, padding included."""

    seconds: list[float] = field(default_factory=list)
    tokens: int = 0


@dataclass(frozen=True)
class Compared:
    items: Items
    ours: Timing
    theirs: Timing
    needed_tokens: int
    places: int

    @property
    def ratio(self) -> float:
        return median(b / a for a, b in zip(self.ours.seconds, self.theirs.seconds, strict=True))


@contextmanager
def counting_tokens(model: Any) -> Iterator[list[int]]:
    """Collects the number of tokens, padding included, of every pass through the model."""
    counts: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, inputs, __: counts.append(inputs[0].numel()))
    try:
        yield counts
    finally:
        hook.remove()


def score_ours(checkpoint: Checkpoint, items: Items, max_length: int) -> list[list[float]]:
    scorer = ChoiceScorer(checkpoint, items.prompting, items.labels, evaluation(max_length))
    answers = {answer.example_id: answer for answer in scorer.answer(items.examples)}
    return [list(answers[example.id].loglik_nats) for example in items.examples]


def score_theirs(harness: Any, items: Items) -> list[list[float]]:
    from lm_eval.api.instance import Instance

    prompts = [items.prompting.prompt(example) for example in items.examples]
    requests = [
        Instance("loglikelihood", {}, (prompt.context, continuation), index)
        for index, prompt in enumerate(prompts)
        for continuation in prompt.continuations
    ]
    nats = iter([value for value, _ in harness.loglikelihood(requests, disable_tqdm=True)])
    return [[next(nats) for _ in prompt.continuations] for prompt in prompts]


def evaluation(max_length: int) -> Evaluation:
    return Evaluation(max_length=max_length, latency_sample=0)


def make_harness(checkpoint: Checkpoint, max_length: int) -> Any:
    import logging

    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return HFLM(
        pretrained=checkpoint.model, tokenizer=checkpoint.tokenizer, batch_size=HARNESS_BATCH, max_length=max_length
    )


def compare(checkpoint: Checkpoint, harness: Any, items: Items, rounds: int, max_length: int) -> Compared:
    ours, theirs = Timing(), Timing()
    sides: list[tuple[Timing, Callable[[], list[list[float]]]]] = [
        (ours, lambda: score_ours(checkpoint, items, max_length)),
        (theirs, lambda: score_theirs(harness, items)),
    ]
    found: dict[int, list[list[float]]] = {}
    for turn in range(rounds):
        for timing, score in sides if turn % 2 else sides[::-1]:
            with counting_tokens(checkpoint.model) as counts:
                started = perf_counter()
                found[id(timing)] = score()
                timing.seconds.append(perf_counter() - started)
            timing.tokens = sum(counts)
    apart = max(
        abs(a - b) for mine, other in zip(*found.values(), strict=True) for a, b in zip(mine, other, strict=True)
    )
    assert apart < 1e-3, f"{items.name}: log-likelihoods differ by {apart} nats"
    return Compared(items, ours, theirs, *needed(checkpoint.tokenizer, items))


def needed(tokenizer: Any, items: Items) -> tuple[int, int]:
    """Tokens that must be read, each once (the prefix, each context, each choice but its last token), and the places
    whose logits are needed."""
    from mlbaseline.engine.encoding import Encoder

    encoder = Encoder(tokenizer, 1 << 20)
    head = len(encoder.head(items.prompting))
    tokens, places = head, 0
    for example in items.examples:
        encoded = encoder.encode(items.prompting.prompt(example))
        longer = sum(len(tail) - 1 for tail in encoded.continuations)
        tokens += len(encoded.contexts[0]) - head + longer
        places += 1 + longer
    return tokens, places


def multiplications(model: Any, tokens: int, places: int) -> float:
    """Multiply-adds of the linear layers alone: attention and norms are left to the loss."""
    output = model.get_output_embeddings()
    inner = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not output)
    return float(inner * tokens + output.weight.numel() * places)


def product_rate(model: Any, tokens: int = 1024) -> float:
    """Multiply-adds per second of plain matrix products of the model's own shapes, precision and threads."""
    output = model.get_output_embeddings()
    weights = [m.weight.detach() for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not output]
    inputs = {w.shape[1]: torch.randn(tokens, w.shape[1], dtype=w.dtype, device=w.device) for w in weights}
    with torch.inference_mode():
        started = perf_counter()
        for weight in weights:
            inputs[weight.shape[1]] @ weight.T
        return sum(weight.numel() for weight in weights) * tokens / (perf_counter() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    checkpoint = load_checkpoint(packaged_model())
    harness = make_harness(checkpoint, 512)
    n = options.items
    score_ours(checkpoint, tweets(4), 512)
    for items in (tweets(n), sentences(n, checkpoint.tokenizer), sentences(n, checkpoint.tokenizer, shots=5)):
        if options.only not in items.name:
            continue
        rate = product_rate(checkpoint.model)
        compared = compare(checkpoint, harness, items, options.rounds, 512)
        rate = median([rate, product_rate(checkpoint.model)])
        share = (
            multiplications(checkpoint.model, compared.needed_tokens, compared.places)
            / median(compared.ours.seconds)
            / rate
        )
        print(
            items.name,
            f"ratio {compared.ratio:.2f} ours {median(compared.ours.seconds):.2f} theirs {median(compared.theirs.seconds):.2f} tokens {compared.needed_tokens} {compared.ours.tokens} {compared.theirs.tokens} share {share:.2f} rate {rate / 1e9:.1f}",
            compared.ours.seconds,
            compared.theirs.seconds,
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
