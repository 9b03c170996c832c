"""How likely a causal model finds whole texts, read in windows as lm-evaluation-harness reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from mlbaseline.engine.batching import make_batches
from mlbaseline.engine.encoding import Branch, Encoder, windows
from mlbaseline.engine.forward import Row, score_rows, without_adapter
from mlbaseline.engine.scoring import most_rows, reading_length
from mlbaseline.engine.timing import answer_and_time, describe_error
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Asks


@dataclass
class _Read:
    """What is known so far about one text."""

    tokens: int
    rows_left: int
    nats: float = 0.0
    compute_s: float = 0.0
    error: str | None = None


class TextScorer:
    """A `records.Model`: `sums` holds each text's negative log-likelihood in nats, and its tokens.

    The first window follows the tokenizer's start token. Every further one predicts `stride` tokens, with as many in
    front of them as make `max_length`; without a stride, windows do not overlap but for one token (the `rolling`
    log-likelihood of lm-evaluation-harness).
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: Asks,
        evaluation: Evaluation,
        *,
        stride: int | None = None,
        description: str | None = None,
    ) -> None:
        """description: names the progress bar; without it there is none."""
        self._model, self._front = without_adapter(checkpoint.model)
        self._prompting, self._evaluation = prompting, evaluation
        self._description = description
        self._encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation))
        self._stride = min(stride or self._encoder.max_length, self._encoder.max_length)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the texts alone, evenly spread over all.

        A text that cannot be scored becomes an answer with `error` set; a batch that fails is halved.
        """
        sample = self._evaluation.latency_sample
        return answer_and_time(self._answer_in_batches, examples, sample=sample, description=self._description)

    def _answer_in_batches(self, examples: Sequence[Example]) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        reads: dict[int, _Read] = {}
        rows: list[Row] = []
        for position, example in enumerate(examples):
            try:
                start, tokens = self._encoder.encode_text(self._prompting.prompt(example).context)
            except Exception as error:  # one text that cannot be read must not cost the others their scores
                yield position, Answer(example.id, None, error=describe_error(error))
                continue
            own = [
                Row(position, context, (Branch(0, predicted),))
                for context, predicted in windows(start, tokens, self._encoder.max_length, self._stride)
            ]
            reads[position] = _Read(len(tokens), len(own))
            rows += own
        setup_s = (perf_counter() - started) / max(len(reads), 1)
        budget = self._evaluation.batch_tokens
        for batch in make_batches([len(row) for row in rows], budget, most_rows(self._front, budget)):
            started = perf_counter()
            batch_rows = [rows[index] for index in batch]
            scored = self._score(batch_rows)
            batch_s, batch_tokens = perf_counter() - started, sum(map(len, batch_rows))
            for row, nats in zip(batch_rows, scored, strict=True):
                read = reads[row.example]
                read.rows_left -= 1
                read.compute_s += batch_s * len(row) / batch_tokens
                if isinstance(nats, str):
                    read.error = nats
                else:
                    read.nats -= nats
                if not read.rows_left:
                    read.compute_s += setup_s
                    yield row.example, _conclude(examples[row.example].id, reads.pop(row.example))

    def _score(self, rows: Sequence[Row]) -> list[float | str]:
        """Log-likelihood of each row's tokens, or what went wrong with the row."""
        try:
            return [nats for (nats,) in score_rows(self._model, rows, self._front)]
        except Exception as error:  # out of memory, or a row that the model cannot read
            if len(rows) == 1:
                return [describe_error(error)]
        half = len(rows) // 2
        return self._score(rows[:half]) + self._score(rows[half:])


def _conclude(example_id: str, read: _Read) -> Answer:
    error = read.error
    if error is None and not math.isfinite(read.nats):
        error = f"the model gave a log-likelihood that is no number: {-read.nats}"
    sums = {"tokens": float(read.tokens)} if error else {"nats": read.nats, "tokens": float(read.tokens)}
    return Answer(example_id, None, sums=sums, tokens_in=read.tokens, compute_s=read.compute_s, error=error)
