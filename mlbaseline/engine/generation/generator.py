"""Answers in the model's own words: texts that it generates behind the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter

from mlbaseline.engine.generation.continuous_batching import ContinuousBatchingDecoder
from mlbaseline.engine.generation.decoder import Decoder, PaddedDecoder
from mlbaseline.engine.generation.decoding_batch import DecodingRequest
from mlbaseline.engine.generation.vllm_decoder import VllmDecoder
from mlbaseline.engine.inference.batched_model import LOCAL, BatchedModel
from mlbaseline.engine.inference.execution import Execution, execute_batches
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.tokenization import EncodedContext
from mlbaseline.errors import DataError, describe_error
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example, id_at
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import PromptFormat

GENERATION_VERSION = 1
"""Part of every signature: raised when the same options lead to other texts."""


class Generator(BatchedModel):
    """A `records.Model` that predicts the text that the model generates, or what `decoding` extracts from it.

    Texts are those of transformers' `generate` by temperature alone: of a model's own generation defaults only the end
    tokens count.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: PromptFormat,
        decoding: Decoding,
        evaluation: Evaluation,
        execution: Execution = LOCAL,
        *,
        seed: int | None = None,
    ) -> None:
        """Prepare a checkpoint.

        Args:
            checkpoint: causal language model.
            prompting: makes the prompts.
            decoding: options of the task.
            evaluation: decoder, batch size, maximum length, latency sample.
            execution: cache, worker processes, progress bar.
            seed: needed at a temperature above 0.

        Raises:
            MlbaselineError: the decoder does not support the model's adapter.
        """
        if decoding.temperature > 0 and seed is None:
            raise ValueError("texts are drawn at a temperature above 0: give a seed")
        super().__init__(checkpoint, prompting, evaluation, execution)
        self._decoding = decoding
        self._make_decoder = self._choose_decoder(seed)
        self._decoder = self._make_decoder(checkpoint)

    def _choose_decoder(self, seed: int | None) -> Callable[[Checkpoint], Decoder]:
        decoding, batch_tokens, max_length = self._decoding, self._evaluation.batch_tokens, self._encoder.max_length
        if self._evaluation.generate_with == "vllm":
            invariant = self._evaluation.invariant
            return partial(VllmDecoder, decoding=decoding, max_length=max_length, seed=seed, invariant=invariant)
        if self._evaluation.generate_with == "transformers":
            return partial(ContinuousBatchingDecoder, decoding=decoding, batch_tokens=batch_tokens)
        return partial(
            PaddedDecoder,
            decoding=decoding,
            batch_tokens=batch_tokens,
            seed=seed,
            prefix_tokens=self._encoder.shared_prefix(self._prompting, max_new_tokens=decoding.max_new_tokens),
            invariant=self._evaluation.invariant,
        )

    def _answer_all(self, examples: Sequence[Example], *, execution: Execution) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        contexts: dict[int, EncodedContext] = {}
        for position, example in enumerate(examples):
            try:
                text = self._prompting.prompt(example).context
                contexts[position] = self._encoder.encode_context(text, max_new_tokens=self._decoding.max_new_tokens)
            except Exception as error:  # any error in a user's template or data; one example must not fail the others
                yield position, Answer(example.id, None, error=describe_error(error))
        requests = [DecodingRequest(p, id_at(examples, p), context.tokens) for p, context in contexts.items()]
        batches = [*self._decoder.make_batches(requests)]
        setup_s = (perf_counter() - started) / max(len(contexts), 1)
        for results in execute_batches(batches, self._decoder, self._make_decoder, execution, setup_s=setup_s):
            for position, result in results.items():
                yield position, self._make_answer(id_at(examples, position), contexts[position], result)

    def _make_answer(self, example_id: str, context: EncodedContext, result: RequestResult) -> Answer:
        answer = partial(
            Answer,
            example_id,
            tokens_in=context.prompt_tokens,
            compute_s=result.compute_s,
            batch=result.batch,
            truncated=context.truncated,
        )
        if result.error is not None:
            return answer(None, error=result.error)
        texts = [self._decoding.cut(self._decoder.stop_criteria.decode(tokens)) for tokens in result.values]
        try:
            predictions = [self._decoding.answer_in(text) for text in texts]
        except DataError as error:  # a pattern that searches without end
            return answer(None, error=str(error), raw=texts[0])
        return answer(
            predictions[0],
            raw=texts[0] if self._decoding.extract is not None else None,
            samples=tuple(predictions) if len(predictions) > 1 else (),
            tokens_out=sum(map(len, result.values)),
        )
