"""Texts by transformers' continuous batching, behind the interface of our decoder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from time import perf_counter

from mlbaseline.engine.generation.decoding_batch import (
    DecodingBatch,
    DecodingRequest,
    Samples,
    make_decoding_batch,
    make_results,
)
from mlbaseline.engine.generation.stop_criteria import StopCriteria
from mlbaseline.engine.inference.batching import MAX_KEYS
from mlbaseline.engine.inference.oom_retry import OutOfMemoryRetry
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.shared_prefix import unwrap_adapter
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.models.checkpoints.loading import quiet_transformers
from mlbaseline.tasks.decoding import Decoding

_BATCH_REQUESTS = 256
"""Requests that are handed over together, and lost if the process is killed; the engines form their own batches."""
_PAGE_TOKENS = 32


def make_large_batches(requests: Sequence[DecodingRequest]) -> Iterator[DecodingBatch]:
    """Form the batches that are handed over to an engine which forms its own, longest requests first."""
    ordered = sorted(requests, key=lambda request: -len(request.context))
    for start in range(0, len(ordered), _BATCH_REQUESTS):
        yield make_decoding_batch(ordered[start : start + _BATCH_REQUESTS])


def unmerged_error(checkpoint: Checkpoint, name: str) -> MlbaselineError:
    """Make the error of an engine that takes no adapter. name: the engine, as `evaluation.generate_with` has it."""
    return MlbaselineError(
        f"evaluation.generate_with: {name} takes whole models, and what "
        f"{checkpoint.model.active_peft_config.peft_type.value} has learnt cannot be merged into its base; leave "
        "`generate_with` out"
    )


class ContinuousBatchingDecoder:
    """transformers' continuous batching, greedy only: its samples would depend on the batch."""

    def __init__(self, checkpoint: Checkpoint, *, decoding: Decoding, batch_tokens: int) -> None:
        """Prepare a checkpoint.

        Args:
            checkpoint: causal language model without an adapter.
            decoding: options of the task.
            batch_tokens: tokens of a batch at most.

        Raises:
            MlbaselineError: the model has an adapter that is not merged, such as virtual tokens.
        """
        self._model, soft_prompt = unwrap_adapter(checkpoint.model)
        if soft_prompt is not None or hasattr(self._model, "get_base_model"):
            raise unmerged_error(checkpoint, "transformers")
        self.stop_criteria = StopCriteria(checkpoint, decoding)
        self._decoding, self._batch_tokens = decoding, batch_tokens
        self._retry: OutOfMemoryRetry[DecodingRequest] = OutOfMemoryRetry(
            sys.maxsize, lambda request: len(request.context) + decoding.max_new_tokens
        )

    def make_batches(self, requests: Sequence[DecodingRequest]) -> Iterator[DecodingBatch]:
        """Form batches, longest first."""
        return make_large_batches(requests)

    def __call__(self, batch: DecodingBatch) -> dict[int, RequestResult]:
        """Generate the texts of a batch."""
        started = perf_counter()
        samples = self._retry.run(self._decode, batch.requests)
        return make_results(batch, samples, perf_counter() - started)

    def _decode(self, requests: Sequence[DecodingRequest]) -> list[Samples]:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        longest = max(len(request.context) for request in requests) + self._decoding.max_new_tokens
        n_cached = max(MAX_KEYS * self._batch_tokens, 2 * longest)
        batching_config = ContinuousBatchingConfig(
            page_size=_PAGE_TOKENS, num_blocks=-(-n_cached // _PAGE_TOKENS), max_batch_tokens=self._batch_tokens
        )
        generation_config = GenerationConfig(
            max_new_tokens=self._decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(self.stop_criteria.end_tokens) or None,
            pad_token_id=0,
        )
        prompts = [list(request.context) for request in requests]
        with quiet_transformers():
            by_id = self._model.generate_batch(
                prompts, generation_config=generation_config, continuous_batching_config=batching_config
            )
        outputs = list(by_id.values())
        error = next((output.error for output in outputs if output.error), None)
        if error or len(outputs) < len(requests):  # it returns what it has, and says nothing of the rest
            raise RuntimeError(error or f"{len(requests) - len(outputs)} of {len(requests)} texts were not generated")
        return [[self.stop_criteria.truncate(output.generated_tokens)] for output in outputs]
