"""Answers by log-likelihood: which choice does a causal model find most likely behind the prompt?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import Any

from mlbaseline.engine.batching import make_batches
from mlbaseline.engine.encoding import Branch, Encoded, Encoder
from mlbaseline.engine.forward import Head, Row, can_share, read_head, score_rows, without_adapter
from mlbaseline.engine.timing import answer_and_time, describe_error
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Asks

ENGINE_VERSION = 1
"""Part of every signature: raised when log-likelihoods change by more than rounding."""

_HEAD_KEYS = 8
"""How many times `batch_tokens` keys a batch may attend to, its copies of the head included: bounds their memory."""


@dataclass
class _Pending:
    """What is known so far about one example."""

    encoded: Encoded
    nats: list[float] = field(default_factory=list)
    rows_left: int = 0
    compute_s: float = 0.0
    error: str | None = None


class ChoiceScorer:
    """A `records.Model`: prediction is the most likely choice (raw log-likelihood, the first of equal ones).

    labels: what the choices of an example stand for, in their order. description: names the progress bar; without
    it there is none. Log-likelihoods follow lm-evaluation-harness, see `encoding.Encoder`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: Asks,
        labels: Sequence[str],
        evaluation: Evaluation,
        *,
        description: str | None = None,
    ) -> None:
        self._model, self._front = without_adapter(checkpoint.model)
        self._prompting = prompting
        self._labels = tuple(labels)
        self._evaluation = evaluation
        self._description = description
        self._encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation))
        self._shares = can_share(self._model)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the examples alone, evenly spread over all.

        An example that cannot be scored becomes an answer with `error` set. A batch that fails, for want of memory
        say, is halved until it fits or a single example is left to blame.
        """
        sample = self._evaluation.latency_sample
        return answer_and_time(self._answer_in_batches, examples, sample=sample, description=self._description)

    def _answer_in_batches(self, examples: Sequence[Example]) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        pending: dict[int, _Pending] = {}
        rows: list[Row] = []
        for position, example in enumerate(examples):
            try:
                encoded = self._encoder.encode(self._prompting.prompt(example))
            except Exception as error:  # one example that cannot be asked must not cost the others their answers
                yield position, Answer(example.id, None, error=describe_error(error))
                continue
            own = self._rows(position, encoded)
            pending[position] = _Pending(encoded, [math.nan] * len(encoded.continuations), len(own))
            rows += own
        batches = [*self._batches(rows)]
        setup_s = (perf_counter() - started) / max(len(pending), 1)
        for batch, head in batches:
            started = perf_counter()
            scored = self._score(batch, head)
            batch_s, batch_tokens = perf_counter() - started, sum(map(len, batch))
            for row, nats in zip(batch, scored, strict=True):
                entry = pending[row.example]
                entry.rows_left -= 1
                entry.compute_s += batch_s * len(row) / batch_tokens
                if isinstance(nats, str):
                    entry.error = nats
                else:
                    for branch, value in zip(row.branches, nats, strict=True):
                        entry.nats[branch.choice] = value
                if not entry.rows_left:
                    entry.compute_s += setup_s
                    yield row.example, self._conclude(examples[row.example].id, pending.pop(row.example))

    def _rows(self, position: int, encoded: Encoded) -> list[Row]:
        """As few rows as possible: choices behind the same tokens share one if the model can keep them apart."""
        groups: dict[Any, list[Branch]] = {}
        for choice, (context, tokens) in enumerate(zip(encoded.contexts, encoded.continuations, strict=True)):
            is_alone = len(tokens) > 1 and not self._shares
            groups.setdefault((context, choice if is_alone else None), []).append(Branch(choice, tokens))
        return [Row(position, context, tuple(branches)) for (context, _), branches in groups.items()]

    def _batches(self, rows: Sequence[Row]) -> Iterator[tuple[list[Row], Head | None]]:
        """Rows that begin with the head, without it; then the others (their left was cut off), as they are."""
        budget = self._evaluation.batch_tokens
        head, front = self._head, self._front
        if head is not None:
            n = len(head.tokens)
            behind = [row.without(n) for row in rows if len(row.context) > n and row.context[:n] == head.tokens]
            rows = [row for row in rows if len(row.context) <= n or row.context[:n] != head.tokens]
            for batch in make_batches([len(row) for row in behind], budget, most_rows(head, budget)):
                yield [behind[index] for index in batch], head
        for batch in make_batches([len(row) for row in rows], budget, most_rows(front, budget)):
            yield [rows[index] for index in batch], front

    def _score(self, rows: Sequence[Row], head: Head | None) -> list[list[float] | str]:
        """Log-likelihoods of each row's branches, or what went wrong with the row."""
        try:
            return [*score_rows(self._model, rows, head)]
        except Exception as error:  # out of memory, or a row that the model cannot read
            if len(rows) == 1:
                return [describe_error(error)]
        half = len(rows) // 2
        return self._score(rows[:half], head) + self._score(rows[half:], head)

    def _conclude(self, example_id: str, entry: _Pending) -> Answer:
        error = entry.error
        if error is None and not all(map(math.isfinite, entry.nats)):
            error = f"the model gave log-likelihoods that are no numbers: {entry.nats}"
        answer = Answer(
            example_id,
            None,
            tokens_in=entry.encoded.billed_tokens,
            compute_s=entry.compute_s,
            truncated=entry.encoded.truncated,
            error=error,
        )
        if error is not None:
            return answer
        best = max(range(len(entry.nats)), key=entry.nats.__getitem__)
        return replace(
            answer,
            prediction=self._labels[best],
            loglik_nats=tuple(entry.nats),
            tokens_out=len(entry.encoded.continuations[best]),
        )

    @cached_property
    def _head(self) -> Head | None:
        tokens = self._encoder.head(self._prompting) if self._shares else ()
        # What fills the window leaves no room for a prompt behind it: every left will be cut off.
        return read_head(self._model, tokens, self._front) if 0 < len(tokens) < self._encoder.max_length else None


def most_rows(head: Head | None, budget_tokens: int) -> int | None:
    """Rows that a batch may have at most, so that its copies of a head stay in bounds."""
    return None if head is None else max(1, _HEAD_KEYS * budget_tokens // len(head))


def reading_length(checkpoint: Checkpoint, evaluation: Evaluation) -> int:
    """Tokens that are read at most: the suite's `max_length`, or what the model was built for if that is less."""
    return min(evaluation.max_length, checkpoint.max_positions or evaluation.max_length)
