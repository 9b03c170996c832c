"""Texts by vLLM, behind the interface of our decoder.

They are not the bits of our engine, and depend on the batch unless its batch-invariant kernels are used, on a GPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch

from mlbaseline.engine.generation.continuous_batching import make_large_batches, unmerged_error
from mlbaseline.engine.generation.decoding_batch import (
    DecodingBatch,
    DecodingRequest,
    Samples,
    make_results,
    sample_seed,
)
from mlbaseline.engine.generation.stop_criteria import StopCriteria
from mlbaseline.engine.inference.oom_retry import OutOfMemoryRetry
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.errors import MlbaselineError, describe_error
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.models.checkpoints.loading import quiet_transformers
from mlbaseline.tasks.decoding import Decoding

_CPU_OPTIONS: dict[str, int | bool] = {
    # Compiling takes longer than most evaluations.
    "enforce_eager": True,
    # Keys and values of all texts at once. Without a size, vLLM asks for nearly all of the memory.
    "kv_cache_memory_bytes": 2 << 30,
    # Where a prompt is read in two steps and its text is drawn, vLLM (0.32.0) ends: it turns the random generator back,
    # which torch can do on a GPU only.
    "enable_chunked_prefill": False,
}
"""How vLLM is started on a processor."""
_DEFAULTS = {
    # What it logs would stand between the lines of our own output.
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # It reports to its makers who runs it on what.
    "VLLM_NO_USAGE_STATS": "1",
    # Its threads are those of OMP_NUM_THREADS, wherever the system puts them: bound to cores, they wait for whatever
    # else computes there.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
"""Environment variables of vLLM; one that is set already stays."""
_SEEDS = 2**62


class VllmDecoder:
    """vLLM, on a copy of the same weights that our engine would use, in processes of its own.

    They start with the first batch, and end with this object.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        decoding: Decoding,
        max_length: int,
        seed: int | None,
        invariant: bool = False,
    ) -> None:
        """Prepare to hand a checkpoint over to vLLM.

        Args:
            checkpoint: causal language model without an adapter.
            decoding: options of the task.
            max_length: tokens of prompt and text at most.
            seed: of what is drawn; None where nothing is.
            invariant: by vLLM's batch-invariant kernels, which it has for GPUs.

        Raises:
            MlbaselineError: the model has an adapter that is not merged.
        """
        if hasattr(checkpoint.model, "get_base_model"):
            raise unmerged_error(checkpoint, "vllm")
        self.stop_criteria = StopCriteria(checkpoint, decoding)
        self._decoding, self._max_length, self._seed = decoding, max_length, seed
        self._invariant = invariant
        self._checkpoint: Checkpoint | None = checkpoint
        self._llm: Any = None
        self._retry: OutOfMemoryRetry[DecodingRequest] = OutOfMemoryRetry(
            sys.maxsize, lambda request: len(request.context) + decoding.max_new_tokens
        )

    def make_batches(self, requests: Sequence[DecodingRequest]) -> Iterator[DecodingBatch]:
        """Form batches, longest first."""
        return make_large_batches(requests)

    def __call__(self, batch: DecodingBatch) -> dict[int, RequestResult]:
        """Generate the texts of a batch.

        Raises:
            MlbaselineError: vLLM does not start with this model on this machine, or it ended.
        """
        if self._checkpoint is not None:
            self._start(self._checkpoint)
            self._checkpoint = None  # vLLM has its own copy; where nobody else uses ours, its memory is free
        started = perf_counter()
        samples = self._retry.run(self._decode, batch.requests)
        _require_alive(self._llm)
        return make_results(batch, samples, perf_counter() - started)

    def _start(self, checkpoint: Checkpoint) -> None:
        with tempfile.TemporaryDirectory(prefix="mlbaseline-") as folder, _own_environment(invariant=self._invariant):
            with quiet_transformers():
                checkpoint.model.save_pretrained(folder)
                checkpoint.tokenizer.save_pretrained(folder)
            if checkpoint.model.device.type == "cuda":
                checkpoint.model.to("cpu")  # the device is vLLM's now
                torch.cuda.empty_cache()
            try:
                self._llm = _load(
                    folder,
                    dtype=str(checkpoint.model.dtype),
                    max_length=self._max_length,
                    # Whether a prefix was computed before depends on the other texts.
                    enable_prefix_caching=not self._invariant,
                )
            except Exception as error:  # of vLLM, and of all that it is made of
                raise MlbaselineError(
                    f"evaluation.generate_with: vllm does not start with this model on this machine "
                    f"({describe_error(error)}); what it wrote before says why. Without `generate_with`, our own "
                    "engine generates"
                ) from error
        weakref.finalize(self, self._llm.llm_engine.engine_core.shutdown)

    def _decode(self, requests: Sequence[DecodingRequest]) -> list[Samples]:
        from vllm import TokensPrompt

        params = [self._sampling_params(request) for request in requests]
        prompts = [TokensPrompt(prompt_token_ids=list(request.context)) for request in requests]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        return [[self.stop_criteria.truncate(text.token_ids) for text in output.outputs] for output in outputs]

    def _sampling_params(self, request: DecodingRequest) -> object:
        from vllm import SamplingParams

        decoding = self._decoding
        # vLLM adds the number of the sample to it: without the factor, two seeds would share samples.
        seed = (sample_seed(request.example_id) + (self._seed or 0) * decoding.samples) % _SEEDS
        return SamplingParams(
            n=decoding.samples,
            temperature=decoding.temperature,
            max_tokens=decoding.max_new_tokens,
            stop=list(decoding.stop),
            stop_token_ids=sorted(self.stop_criteria.end_tokens),
            seed=seed if decoding.temperature else None,
        )


def _load(folder: str, *, dtype: str, max_length: int, enable_prefix_caching: bool) -> Any:
    """Start vLLM on a saved model and return its `LLM`."""
    from vllm import LLM
    from vllm.platforms import current_platform

    of_device = _CPU_OPTIONS if current_platform.is_cpu() else {}
    with quiet_transformers():
        return LLM(
            folder,
            dtype=dtype.removeprefix("torch."),
            max_model_len=max_length,
            enable_prefix_caching=enable_prefix_caching,
            seed=0,
            use_tqdm_on_load=False,
            **of_device,
        )


def _require_alive(llm: Any) -> None:
    """Raise MlbaselineError where the processes of vLLM have ended: then no text failed for its own sake."""
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        llm.llm_engine.engine_core.ensure_alive()
    except EngineDeadError as error:
        raise MlbaselineError(
            "evaluation.generate_with: vllm ended in the middle of a batch; what it wrote before says why, such as a "
            "model that it cannot compute, or too little memory. Earlier batches are kept for the next start"
        ) from error


@contextmanager
def _own_environment(*, invariant: bool = False) -> Iterator[None]:
    """Set the environment that the processes of vLLM start with, and undo whatever changed in it meanwhile.

    vLLM changes ours: with its LD_PRELOAD, for one, all later processes would load its allocator.
    """
    before = dict(os.environ)
    defaults = {"OMP_NUM_THREADS": str(torch.get_num_threads()), **_DEFAULTS}
    # In this process, it would keep its memory to the end.
    os.environ.update({**defaults, **before, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"})
    if invariant:
        os.environ["VLLM_BATCH_INVARIANT"] = "1"
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
