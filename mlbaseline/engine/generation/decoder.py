"""Texts by the engine's own decoding loop, many rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from time import perf_counter
from typing import Protocol

import numpy as np

from mlbaseline.engine.generation.decoding_batch import (
    DecodingBatch,
    DecodingRequest,
    Samples,
    make_decoding_batch,
    make_results,
    sample_seed,
)
from mlbaseline.engine.generation.decoding_loop import decode, greedy, sampler
from mlbaseline.engine.generation.stop_criteria import StopCriteria
from mlbaseline.engine.inference.batching import make_padded_batches, max_rows_behind
from mlbaseline.engine.inference.oom_retry import OutOfMemoryRetry
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.shared_prefix import SharedPrefix, compute_prefix, supports_packing, unwrap_adapter
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.tasks.decoding import Decoding


class Decoder(Protocol):
    """Generates texts by a model; the values of each result are its samples as tokens."""

    stop_criteria: StopCriteria

    def make_batches(self, requests: Sequence[DecodingRequest]) -> Iterator[DecodingBatch]:
        """Form batches of all requests; only their content decides which."""
        ...

    def __call__(self, batch: DecodingBatch) -> dict[int, RequestResult]: ...


class PaddedDecoder:
    """The engine's own decoder: the rows of a batch advance together, and finished ones leave it early.

    What is drawn depends on `seed`, the example's id and the number of the sample, not on the batch.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        decoding: Decoding,
        batch_tokens: int,
        seed: int | None,
        prefix_tokens: Tokens = (),
        invariant: bool = False,
    ) -> None:
        """Prepare a checkpoint.

        Args:
            checkpoint: causal language model.
            decoding: options of the task.
            batch_tokens: tokens of a batch at most.
            seed: of what is drawn; None where nothing is.
            prefix_tokens: computed once for all requests that begin with them, if the model supports it.
            invariant: generate for one request at a time, so that no other request decides a bit of its logits.

        Raises:
            MlbaselineError: the model has a soft prompt and does not support a shared prefix.
        """
        self._model, self._soft_prompt = unwrap_adapter(checkpoint.model)
        if hasattr(self._model, "get_base_model") and self._model.active_peft_config.is_prompt_learning:
            raise MlbaselineError(
                f"{self._model.active_peft_config.peft_type.value}: this model cannot generate behind virtual tokens, "
                "as not all of its layers attend to everything before them; use a method that adapts them, such as lora"
            )
        self.stop_criteria = StopCriteria(checkpoint, decoding)
        self._decoding, self._seed, self._batch_tokens = decoding, seed, batch_tokens
        self._invariant = invariant
        self._prefix_tokens = prefix_tokens if supports_packing(self._model) else ()
        self._retry: OutOfMemoryRetry[DecodingRequest] = OutOfMemoryRetry(batch_tokens, self._max_tokens)

    def make_batches(self, requests: Sequence[DecodingRequest]) -> Iterator[DecodingBatch]:
        """Form batches of requests that begin with the shared prefix, without it, then of the others as they are.

        The others had their left cut off.
        """
        n = len(self._prefix_tokens)
        behind = [r for r in requests if 0 < n < len(r.context) and r.context[:n] == self._prefix_tokens]
        shortened = [replace(r, context=r.context[n:]) for r in behind]
        yield from self._batch(shortened, self._prefix, behind_prefix=True)
        is_behind = {request.number for request in behind}
        others = [request for request in requests if request.number not in is_behind]
        yield from self._batch(others, self._soft_prompt, behind_prefix=False)

    def _batch(
        self, requests: Sequence[DecodingRequest], prefix: SharedPrefix | None, *, behind_prefix: bool
    ) -> Iterator[DecodingBatch]:
        max_rows = 1 if self._invariant else max_rows_behind(prefix, self._batch_tokens // self._decoding.samples)
        n_tokens = len(prefix.tokens) if prefix else 0
        lengths = [self._max_tokens(request) for request in requests]
        n_passes = self._decoding.max_new_tokens
        for indices in make_padded_batches(lengths, self._batch_tokens, max_rows, n_passes):
            yield make_decoding_batch([requests[index] for index in indices], n_tokens, behind_prefix)

    def __call__(self, batch: DecodingBatch) -> dict[int, RequestResult]:
        """Generate the texts of a batch."""
        started = perf_counter()
        prefix = self._prefix if batch.behind_prefix else self._soft_prompt
        samples = self._retry.run(lambda part: self._decode(part, prefix), batch.requests)
        return make_results(batch, samples, perf_counter() - started)

    def _max_tokens(self, request: DecodingRequest) -> int:
        """Return how long the rows of a request may grow together."""
        return self._decoding.samples * (len(request.context) + self._decoding.max_new_tokens)

    @cached_property
    def _prefix(self) -> SharedPrefix | None:
        return compute_prefix(self._model, self._prefix_tokens, self._soft_prompt) if self._prefix_tokens else None

    def _decode(self, requests: Sequence[DecodingRequest], prefix: SharedPrefix | None) -> list[Samples]:
        """Generate the samples of each request."""
        decoding = self._decoding
        generators = [
            np.random.default_rng([self._seed or 0, sample_seed(request.example_id, sample)])
            for request in requests
            for sample in range(decoding.samples)
        ]
        texts = decode(
            self._model,
            [request.context for request in requests],
            prefix=prefix,
            n_samples=decoding.samples,
            select_tokens=sampler(generators, decoding.temperature) if decoding.temperature else greedy,
            is_finished=self.stop_criteria.is_met,
        )
        return [texts[i : i + decoding.samples] for i in range(0, len(texts), decoding.samples)]
