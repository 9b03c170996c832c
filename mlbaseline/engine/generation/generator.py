"""Answers in the model's own words: texts written behind the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter

from mlbaseline.engine.generation.backends import ContinuousWriter, VllmWriter
from mlbaseline.engine.generation.decoder import Asked, Writer, WritesTexts
from mlbaseline.engine.inference.execution import Found, run_passes
from mlbaseline.engine.inference.result_cache import PassCache
from mlbaseline.engine.inference.timing import answer_and_time, describe_error
from mlbaseline.engine.inference.tokenization import EncodedContext, Encoder
from mlbaseline.engine.inference.worker_pool import Crew
from mlbaseline.engine.scoring.choices import reading_length
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Asks

GENERATION_VERSION = 1
"""Part of every signature: raised when the same options lead to other texts."""


class Generator:
    """A `records.Model`: prediction is the text that the model writes behind the prompt, or what `decoding` extracts.

    Texts are those of transformers' `generate` by temperature alone: of a model's own generation defaults only the end
    tokens count.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: Asks,
        decoding: Decoding,
        evaluation: Evaluation,
        *,
        seed: int | None = None,
        cache: PassCache | None = None,
        crew: Crew | None = None,
        description: str | None = None,
    ) -> None:
        """seed: needed where something is drawn. cache, crew, description: as of `ChoiceScorer`.

        Raises MlbaselineError for virtual tokens in front of a model that cannot follow a head.
        """
        if decoding.temperature > 0 and seed is None:
            raise ValueError("texts are drawn at a temperature above 0: give a seed")
        self._prompting, self._decoding, self._evaluation = prompting, decoding, evaluation
        self._cache, self._crew, self._description = cache, crew, description
        self._encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation))
        self._make = self._writing_by(evaluation.generate_with, seed)
        self._writer = self._make(checkpoint)

    def _writing_by(self, name: str, seed: int | None) -> Callable[[Checkpoint], WritesTexts]:
        decoding, batch_tokens = self._decoding, self._evaluation.batch_tokens
        if name == "vllm":
            return partial(VllmWriter, decoding=decoding, max_length=self._encoder.max_length, seed=seed)
        if name == "transformers":
            return partial(ContinuousWriter, decoding=decoding, batch_tokens=batch_tokens)
        head = self._encoder.head(self._prompting)
        head = head if len(head) < self._encoder.max_length - decoding.max_new_tokens else ()
        return partial(Writer, decoding=decoding, batch_tokens=batch_tokens, seed=seed, head=head)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the examples alone, evenly spread over all.

        An example that cannot be answered becomes an answer with `error` set; a batch that fails is halved.
        """
        return answer_and_time(
            partial(self._answer_all, cache=self._cache, crew=self._crew),
            examples,
            sample=self._evaluation.latency_sample,
            description=self._description,
            answer_alone=lambda example: list(self._answer_all([example])),
        )

    def _answer_all(
        self, examples: Sequence[Example], *, cache: PassCache | None = None, crew: Crew | None = None
    ) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        encoded: dict[int, EncodedContext] = {}
        for position, example in enumerate(examples):
            try:
                context = self._prompting.prompt(example).context
                encoded[position] = self._encoder.encode_context(context, leaving=self._decoding.max_new_tokens)
            except Exception as error:  # one example that cannot be asked must not cost the others their answers
                yield position, Answer(example.id, None, error=describe_error(error))
        asked = [Asked(position, examples[position].id, known.tokens) for position, known in encoded.items()]
        writings = [*self._writer.plan(asked)]
        setup_s = (perf_counter() - started) / max(len(encoded), 1)
        for found in run_passes(writings, self._writer, self._make, cache=cache, crew=crew, setup_s=setup_s):
            for position, one in found.items():
                yield position, self._conclude(examples[position].id, encoded[position], one)

    def _conclude(self, example_id: str, known: EncodedContext, found: Found) -> Answer:
        answer = partial(
            Answer, example_id, tokens_in=known.billed_tokens, compute_s=found.compute_s, truncated=known.truncated
        )
        if found.error is not None:
            return answer(None, error=found.error)
        texts = [self._decoding.cut(self._writer.ending.text(tokens)) for tokens in found.values]
        answers = [self._decoding.answer_in(text) for text in texts]
        return answer(
            answers[0],
            raw=texts[0] if self._decoding.extract is not None else None,
            samples=tuple(answers) if len(answers) > 1 else (),
            tokens_out=sum(map(len, found.values)),
        )
