"""Answers by log-likelihood: which choice does a causal model find most likely behind the prompt?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from time import perf_counter

from mlbaseline.engine.encoding import Encoded, Encoder
from mlbaseline.engine.forward import Head, read_head, without_adapter
from mlbaseline.engine.planning import Batch, make_row, plan_batches
from mlbaseline.engine.reading import Reader, Scored
from mlbaseline.engine.score_cache import ScoreCache, example_key
from mlbaseline.engine.timing import answer_and_time
from mlbaseline.engine.tokens import encode_examples
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Asks

ENGINE_VERSION = 1
"""Part of every signature: raised when log-likelihoods change by more than rounding."""


class ChoiceScorer:
    """A `records.Model`: prediction is the most likely choice (raw log-likelihood, the first of equal ones).

    labels: what the choices of an example stand for, in their order. cache: scores that need not be computed again.
    description: names the progress bar; without it there is none. Log-likelihoods follow lm-evaluation-harness, see
    `encoding.Encoder`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: Asks,
        labels: Sequence[str],
        evaluation: Evaluation,
        *,
        cache: ScoreCache | None = None,
        description: str | None = None,
    ) -> None:
        self._model, self._front = without_adapter(checkpoint.model)
        self._prompting = prompting
        self._labels = tuple(labels)
        self._evaluation = evaluation
        self._cache = cache
        self._description = description
        self._encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation))
        self._reader = Reader(self._model, evaluation.batch_tokens)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the examples alone, evenly spread over all.

        Batches are formed from all examples, sorted, whatever is cached: an interrupted evaluation that goes on gives
        the bits of one that was not. An example that cannot be scored becomes an answer with `error` set.
        """
        sample = self._evaluation.latency_sample
        return answer_and_time(
            self._answer_all, examples, sample=sample, description=self._description, answer_alone=self._answer_alone
        )

    def _answer_all(self, examples: Sequence[Example]) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        encodings = encode_examples(self._encoder, self._prompting, examples)
        batches = plan_batches(
            encodings, self._head, self._evaluation.batch_tokens, front=self._front, packs=self._reader.packs
        )
        setup_s = (perf_counter() - started) / max(len(examples), 1)
        for position, example in enumerate(examples):
            if isinstance(why := encodings[position], str):
                yield position, Answer(example.id, None, error=why)
        for batch in batches:
            asked = {position: _encoded(encodings[position]) for position in batch.positions}
            for position, scored in self._score(batch, asked, examples, setup_s).items():
                yield position, self._conclude(examples[position].id, asked[position], scored)

    def _score(
        self, batch: Batch, asked: Mapping[int, Encoded], examples: Sequence[Example], setup_s: float
    ) -> dict[int, Scored]:
        """What the cache knows, and what is computed for the others.

        The cache keeps whole batches. One that is known in part belonged to other data, and only what changed since is
        computed.
        """
        head = self._head if batch.behind_head else self._front
        known: dict[int, Scored] = {}
        keys: dict[int, str] = {}
        if self._cache is not None:
            keys = {position: example_key(examples[position].id, encoded, head) for position, encoded in asked.items()}
            known = {position: kept for position, key in keys.items() if (kept := self._cache.get(key))}
        families = [[make_row(p, asked[p], head) for p in family if p not in known] for family in batch.families]
        computed = {
            position: replace(scored, compute_s=scored.compute_s + setup_s)
            for position, scored in self._reader.score([family for family in families if family], head).items()
        }
        if self._cache is not None:
            self._cache.put({keys[position]: scored for position, scored in computed.items()})
        return known | computed

    def _conclude(self, example_id: str, encoded: Encoded, scored: Scored) -> Answer:
        answer = Answer(
            example_id,
            None,
            tokens_in=encoded.billed_tokens,
            compute_s=scored.compute_s,
            truncated=encoded.truncated,
            error=scored.error,
        )
        if scored.error is not None:
            return answer
        best = max(range(len(scored.nats)), key=scored.nats.__getitem__)
        return replace(
            answer,
            prediction=self._labels[best],
            loglik_nats=scored.nats,
            tokens_out=len(encoded.continuations[best]),
        )

    def _answer_alone(self, example: Example) -> None:
        row = make_row(0, self._encoder.encode(self._prompting.prompt(example)), self._head)
        self._reader.score([[row]], self._head if row.n_skipped else self._front)

    @cached_property
    def _head(self) -> Head | None:
        tokens = self._encoder.head(self._prompting) if self._reader.packs else ()
        # What fills the window leaves no room for a prompt behind it: every left will be cut off.
        return read_head(self._model, tokens, self._front) if 0 < len(tokens) < self._encoder.max_length else None


def reading_length(checkpoint: Checkpoint, evaluation: Evaluation) -> int:
    """Tokens that are read at most: the suite's `max_length`, or what the model was built for if that is less."""
    return min(evaluation.max_length, checkpoint.max_positions or evaluation.max_length)


def _encoded(encoded: Encoded | str) -> Encoded:
    assert isinstance(encoded, Encoded)  # plans leave out what cannot be asked
    return encoded
