"""Answers by log-likelihood: which choice does a causal model find most likely behind the prompt?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

from mlbaseline.engine.inference.execution import Found, run_passes
from mlbaseline.engine.inference.result_cache import PassCache
from mlbaseline.engine.inference.timing import answer_and_time
from mlbaseline.engine.inference.token_cache import Encodings, encode_examples, encoded_at
from mlbaseline.engine.inference.tokenization import Encoded, Encoder
from mlbaseline.engine.inference.worker_pool import Crew
from mlbaseline.engine.scoring.batch_planning import Batch, make_row, plan_batches
from mlbaseline.engine.scoring.log_likelihoods import Reader, Reading, key_of
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Asks

ENGINE_VERSION = 1
"""Part of every signature: raised when log-likelihoods change by more than rounding."""


class ChoiceScorer:
    """A `records.Model`: prediction is the most likely choice (raw log-likelihood, the first of equal ones).

    Log-likelihoods follow lm-evaluation-harness, see `encoding.Encoder`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: Asks,
        labels: Sequence[str],
        evaluation: Evaluation,
        *,
        cache: PassCache | None = None,
        crew: Crew | None = None,
        description: str | None = None,
    ) -> None:
        """labels: what the choices of an example stand for, in their order. cache: of what need not be computed again.
        crew: other processes that help. description: names the progress bar; without it there is none.
        """
        self._prompting, self._evaluation = prompting, evaluation
        self._labels = tuple(labels)
        self._cache, self._crew, self._description = cache, crew, description
        self._encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation))
        head = self._encoder.head(prompting)
        # What fills the window leaves no room for a prompt behind it: every left will be cut off.
        head = head if len(head) < self._encoder.max_length else ()
        self._make = partial(Reader, batch_tokens=evaluation.batch_tokens, head=head)
        self._reader = self._make(checkpoint)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the examples alone, evenly spread over all.

        Batches are formed from all examples, sorted, whatever is cached: an interrupted evaluation that goes on gives
        the bits of one that was not. An example that cannot be scored becomes an answer with `error` set.
        """
        sample = self._evaluation.latency_sample
        return answer_and_time(
            self._answer_all, examples, sample=sample, description=self._description, answer_alone=self.answer_alone
        )

    def answer_alone(self, example: Example) -> None:
        """Compute what the answer to one example takes."""
        row = make_row(0, self._encoder.encode(self._prompting.prompt(example)), self._reader.head)
        self._reader(Reading([[row]], behind_head=row.n_skipped > 0))

    def _answer_all(self, examples: Sequence[Example]) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        reader = self._reader
        encodings = encode_examples(self._encoder, self._prompting, examples)
        batches = plan_batches(
            encodings, reader.head, self._evaluation.batch_tokens, front=reader.front, packs=reader.packs
        )
        setup_s = (perf_counter() - started) / max(len(examples), 1)
        for position, example in enumerate(examples):
            if isinstance(why := encodings[position], str):
                yield position, Answer(example.id, None, error=why)
        readings = (self._reading(batch, encodings, examples) for batch in batches)
        for found in run_passes(readings, reader, self._make, cache=self._cache, crew=self._crew, setup_s=setup_s):
            for position, one in found.items():
                yield position, self._conclude(examples[position].id, encoded_at(encodings, position), one)

    def _reading(self, batch: Batch, encodings: Encodings, examples: Sequence[Example]) -> Reading:
        head = self._reader.head if batch.behind_head else None
        families = [[make_row(p, encoded_at(encodings, p), head) for p in family] for family in batch.families]
        if self._cache is None:
            return Reading(families, batch.behind_head)
        rows = (row for family in families for row in family)
        return Reading(families, batch.behind_head, {r.example: key_of(r, examples[r.example].id) for r in rows})

    def _conclude(self, example_id: str, encoded: Encoded, found: Found) -> Answer:
        answer = Answer(
            example_id,
            None,
            tokens_in=encoded.billed_tokens,
            compute_s=found.compute_s,
            truncated=encoded.truncated,
            error=found.error,
        )
        if found.error is not None:
            return answer
        best = max(range(len(found.values)), key=found.values.__getitem__)
        return replace(
            answer,
            prediction=self._labels[best],
            loglik_nats=found.values,
            tokens_out=len(encoded.continuations[best]),
        )


def reading_length(checkpoint: Checkpoint, evaluation: Evaluation) -> int:
    """Tokens that are read at most: the suite's `max_length`, or what the model was built for if that is less."""
    return min(evaluation.max_length, checkpoint.max_positions or evaluation.max_length)
