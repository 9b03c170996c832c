"""Log-likelihoods by their definition, one sequence at a time: what the engine's faster ways must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mlbaseline.records import Example
from mlbaseline.tasks.prompting import Prompting


def plain_loglik_nats(model: Any, tokenizer: Any, context: str, continuation: str, max_length: int) -> float:
    """One sequence, no batch, no cache, no mask: the definition."""
    stripped = context.rstrip()
    continuation = context[len(stripped) :] + continuation
    ids = tokenizer(stripped)["input_ids"]
    tail = tokenizer(stripped + continuation)["input_ids"][len(ids) :]
    read = (ids + tail)[-(max_length + 1) :][:-1]
    with torch.inference_mode():
        log_probs = model(input_ids=torch.tensor([read]), use_cache=False).logits[0].float().log_softmax(-1)
    return sum(float(log_probs[len(read) - len(tail) + i, token]) for i, token in enumerate(tail))


def plain_answers(
    model: Any, tokenizer: Any, prompting: Prompting, examples: Sequence[Example], max_length: int = 200
) -> dict[str, list[float]]:
    """Example id ─▶ log-likelihood of each choice, by the definition."""
    return {
        example.id: [
            plain_loglik_nats(model, tokenizer, prompt.context, continuation, max_length)
            for continuation in prompt.continuations
        ]
        for example in examples
        for prompt in [prompting.prompt(example)]
    }
