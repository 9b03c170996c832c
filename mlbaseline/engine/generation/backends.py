"""Texts by engines of others, behind the interface of our own: both give a row's place away as soon as it ends.

They begin prompts that are alike once, too. Neither gives the bits of our engine, and vLLM not those of another batch.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import torch

from mlbaseline.engine.generation.decoder import Asked, Ending, Writing, make_writing, number_of, share_time
from mlbaseline.engine.inference.batching import MAX_KEYS
from mlbaseline.engine.inference.execution import Found
from mlbaseline.engine.inference.forward import without_adapter
from mlbaseline.engine.inference.oom_retry import Attempts
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoint import Checkpoint, quiet_transformers
from mlbaseline.tasks.decoding import Decoding

_AT_ONCE = 256
"""Contexts of a pass, which is what a kill loses: these engines fill their own batches from them."""
_PAGE_TOKENS = 32


def _plan(asked: Sequence[Asked]) -> Iterator[Writing]:
    ordered = sorted(asked, key=lambda one: -len(one.context))
    for start in range(0, len(ordered), _AT_ONCE):
        yield make_writing(ordered[start : start + _AT_ONCE])


def _not_whole(checkpoint: Checkpoint, name: str) -> MlbaselineError:
    return MlbaselineError(
        f"evaluation.generate_with: {name} takes whole models, and what "
        f"{checkpoint.model.active_peft_config.peft_type.value} has learnt cannot be merged into its base; leave "
        "`generate_with` out"
    )


class ContinuousWriter:
    """transformers' continuous batching, greedy: its draws would depend on the batch."""

    def __init__(self, checkpoint: Checkpoint, *, decoding: Decoding, batch_tokens: int) -> None:
        """Raises MlbaselineError for virtual tokens in front of the prompt, which it cannot write behind."""
        self._model, front = without_adapter(checkpoint.model)
        if front is not None or hasattr(self._model, "get_base_model"):
            raise _not_whole(checkpoint, "transformers")
        self.ending = Ending(checkpoint, decoding)
        self._decoding, self._batch_tokens = decoding, batch_tokens
        self._attempts: Attempts[Asked] = Attempts(sys.maxsize, lambda one: len(one.context) + decoding.max_new_tokens)

    def plan(self, asked: Sequence[Asked]) -> Iterator[Writing]:
        return _plan(asked)

    def __call__(self, writing: Writing) -> dict[int, Found]:
        started = perf_counter()
        written = self._attempts.compute(self._write, writing.asked)
        return share_time(writing, written, perf_counter() - started)

    def _write(self, asked: Sequence[Asked]) -> list[list[list[int]]]:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        longest = max(len(one.context) for one in asked) + self._decoding.max_new_tokens
        room = max(MAX_KEYS * self._batch_tokens, 2 * longest)
        how = ContinuousBatchingConfig(
            page_size=_PAGE_TOKENS, num_blocks=-(-room // _PAGE_TOKENS), max_batch_tokens=self._batch_tokens
        )
        what = GenerationConfig(
            max_new_tokens=self._decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(self.ending.tokens) or None,
            pad_token_id=0,
        )
        prompts = [list(one.context) for one in asked]
        with quiet_transformers():
            found = self._model.generate_batch(prompts, generation_config=what, continuous_batching_config=how)
        outputs = list(found.values())
        failed = next((output.error for output in outputs if output.error), None)
        if failed or len(outputs) < len(asked):  # it gives back what it has, and says nothing of the rest
            raise RuntimeError(failed or f"{len(asked) - len(outputs)} of {len(asked)} texts were not written")
        return [[self.ending.cut(output.generated_tokens)] for output in outputs]


class VllmWriter:
    """vLLM, from a copy of the very weights that our engine would compute with."""

    def __init__(self, checkpoint: Checkpoint, *, decoding: Decoding, max_length: int, seed: int | None) -> None:
        """Raises MlbaselineError for a model that cannot be handed over."""
        from vllm import LLM

        self.ending = Ending(checkpoint, decoding)
        self._decoding, self._seed = decoding, seed
        if hasattr(checkpoint.model, "get_base_model"):
            raise _not_whole(checkpoint, "vllm")
        with tempfile.TemporaryDirectory(prefix="mlbaseline-") as folder:
            with quiet_transformers():
                checkpoint.model.save_pretrained(folder)
                checkpoint.tokenizer.save_pretrained(folder)
            checkpoint.model.to("cpu")  # its place is vLLM's now
            torch.cuda.empty_cache()
            dtype = str(checkpoint.model.dtype).removeprefix("torch.")
            self._llm = LLM(folder, dtype=dtype, max_model_len=max_length, enable_prefix_caching=True, seed=0)

    def plan(self, asked: Sequence[Asked]) -> Iterator[Writing]:
        return _plan(asked)

    def __call__(self, writing: Writing) -> dict[int, Found]:
        from vllm import SamplingParams, TokensPrompt

        started = perf_counter()
        decoding = self._decoding
        options: dict[str, Any] = {
            "n": decoding.samples,
            "temperature": decoding.temperature,
            "max_tokens": decoding.max_new_tokens,
            "stop": list(decoding.stop),
            "stop_token_ids": sorted(self.ending.tokens),
        }
        how = [SamplingParams(**options, seed=self._number(asked)) for asked in writing.asked]
        prompts = [TokensPrompt(prompt_token_ids=list(asked.context)) for asked in writing.asked]
        outputs = self._llm.generate(prompts, how, use_tqdm=False)
        written = [[self.ending.cut(sample.token_ids) for sample in output.outputs] for output in outputs]
        return share_time(writing, written, perf_counter() - started)

    def _number(self, asked: Asked) -> int | None:
        return (number_of(asked.example_id) + (self._seed or 0)) % 2**63 if self._decoding.temperature else None
