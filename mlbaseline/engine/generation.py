"""Answers in the model's own words: texts written behind the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

from mlbaseline.engine.batching import make_batches, most_rows
from mlbaseline.engine.crew import Crew
from mlbaseline.engine.encoding import EncodedContext, Encoder, Tokens
from mlbaseline.engine.packing import Head
from mlbaseline.engine.pass_cache import PassCache, make_key
from mlbaseline.engine.passes import Found, run_passes
from mlbaseline.engine.scoring import reading_length
from mlbaseline.engine.timing import answer_and_time, describe_error
from mlbaseline.engine.writing import Asked, Writer, Writing
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
        head = self._encoder.head(prompting)
        head = head if len(head) < self._encoder.max_length - decoding.max_new_tokens else ()
        self._make = partial(Writer, decoding=decoding, batch_tokens=evaluation.batch_tokens, seed=seed, head=head)
        self._writer = self._make(checkpoint)

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
        writings = [*self._writings(asked)]
        setup_s = (perf_counter() - started) / max(len(encoded), 1)
        for found in run_passes(writings, self._writer, self._make, cache=cache, crew=crew, setup_s=setup_s):
            for position, one in found.items():
                yield position, self._conclude(examples[position].id, encoded[position], one)

    def _writings(self, asked: Sequence[Asked]) -> Iterator[Writing]:
        """Contexts that begin with the head, without it; then the others (their left was cut off), as they are."""
        head = self._writer.head
        if head is not None:
            n = len(head.tokens)
            behind = [replace(a, context=a.context[n:]) for a in asked if _follows(a.context, head.tokens)]
            asked = [a for a in asked if not _follows(a.context, head.tokens)]
            yield from self._batched(behind, head, behind_head=True)
        yield from self._batched(asked, self._writer.front, behind_head=False)

    def _batched(self, asked: Sequence[Asked], head: Head | None, *, behind_head: bool) -> Iterator[Writing]:
        """Sized by what the rows may grow to."""
        decoding, budget = self._decoding, self._evaluation.batch_tokens
        lengths = [decoding.samples * (len(a.context) + decoding.max_new_tokens) for a in asked]
        n_head = len(head.tokens) if head else 0
        for batch in make_batches(lengths, budget, most_rows(head, budget // decoding.samples)):
            members = [asked[index] for index in batch]
            keys = {one.position: make_key(one.example_id, n_head, one.context) for one in members}
            yield Writing(members, behind_head, keys)

    def _conclude(self, example_id: str, known: EncodedContext, found: Found) -> Answer:
        answer = partial(
            Answer, example_id, tokens_in=known.billed_tokens, compute_s=found.compute_s, truncated=known.truncated
        )
        if found.error is not None:
            return answer(None, error=found.error)
        texts = [self._decoding.cut(self._writer.decode(tokens)) for tokens in found.values]
        answers = [self._decoding.answer_in(text) for text in texts]
        return answer(
            answers[0],
            raw=texts[0] if self._decoding.extract is not None else None,
            samples=tuple(answers) if len(answers) > 1 else (),
            tokens_out=sum(map(len, found.values)),
        )


def _follows(context: Tokens, head: Tokens) -> bool:
    return len(context) > len(head) and context[: len(head)] == head
