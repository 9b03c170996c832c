"""Log-likelihoods by vLLM, alone or under lm-eval: python -m tests.benchmarks.sides.vllm_scoring WAY PRECISION ITEMS"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.benchmarks.sides.lm_eval_on_vllm import give_vllm_a_version
from tests.benchmarks.sides.process import serve_rounds
from tests.benchmarks.tasks.scoring_items import MAX_LENGTH, Items, packaged_model, scoring_tasks
from tests.support.processes.servers import DTYPE_NAMES


def make_score(way: str, precision: str, n: int) -> Callable[[str], object]:
    """Return a function that scores a task by its name: items × choices, in nats. way: `vllm`, or lm-eval with it."""
    from transformers import AutoTokenizer

    model = str(packaged_model())
    tokenizer = AutoTokenizer.from_pretrained(model)
    tasks = {items.name: items for items in scoring_tasks(n, tokenizer)}
    options = {"dtype": DTYPE_NAMES[precision], "enforce_eager": True}
    if way != "vllm":
        give_vllm_a_version()
        from lm_eval.models.vllm_causallms import VLLM

        from tests.benchmarks.bench_scoring import score_theirs

        harness = VLLM(model, max_length=MAX_LENGTH, batch_size="auto", **options)
        return lambda name: score_theirs(harness, tasks[name])
    from vllm import LLM

    llm = LLM(model, max_model_len=MAX_LENGTH, seed=0, use_tqdm_on_load=False, **options)
    return lambda name: score_by_vllm(llm, tokenizer, tasks[name])


def score_by_vllm(llm: Any, tokenizer: Any, items: Items) -> list[list[float]]:
    """Score each choice as a prompt whose log-probabilities vLLM returns; it generates one token at least."""
    from vllm import SamplingParams, TokensPrompt

    from mlbaseline.engine.inference.tokenization import Encoder

    encoder = Encoder(tokenizer, MAX_LENGTH)
    sequences = [encoder.encode(items.prompting.prompt(example)).sequences for example in items.examples]
    prompts = [
        TokensPrompt(prompt_token_ids=[*sequence.input_tokens, sequence.targets[-1]])
        for choices in sequences
        for sequence in choices
    ]
    params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
    outputs = iter(llm.generate(prompts, params, use_tqdm=False))

    def nats(targets: tuple[int, ...]) -> float:
        tail = next(outputs).prompt_logprobs[-len(targets) :]
        return sum(place[token].logprob for token, place in zip(targets, tail, strict=True))

    return [[nats(sequence.targets) for sequence in choices] for choices in sequences]


if __name__ == "__main__":
    way, precision, items = sys.argv[1:]
    serve_rounds(lambda: make_score(way, precision, int(items)))
