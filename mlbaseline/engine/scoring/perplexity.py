"""How likely a causal model finds whole texts, read in windows as lm-evaluation-harness reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from mlbaseline.engine.inference.execution import run_passes
from mlbaseline.engine.inference.forward import Query, Row
from mlbaseline.engine.inference.result_cache import PassCache
from mlbaseline.engine.inference.timing import answer_and_time, describe_error
from mlbaseline.engine.inference.tokenization import Encoder, windows
from mlbaseline.engine.inference.worker_pool import Crew
from mlbaseline.engine.scoring.choices import reading_length
from mlbaseline.engine.scoring.log_likelihoods import Reader, key_of
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
        cache: PassCache | None = None,
        crew: Crew | None = None,
        description: str | None = None,
    ) -> None:
        """cache, crew, description: as of `ChoiceScorer`."""
        self._prompting, self._evaluation = prompting, evaluation
        self._cache, self._crew, self._description = cache, crew, description
        self._encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation))
        self._stride = min(stride or self._encoder.max_length, self._encoder.max_length)
        self._make = partial(Reader, batch_tokens=evaluation.batch_tokens)
        self._reader = self._make(checkpoint)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the texts alone, evenly spread over all.

        A text that cannot be scored becomes an answer with `error` set; a batch that fails is halved.
        """
        sample = self._evaluation.latency_sample
        return answer_and_time(
            partial(self._answer_all, cache=self._cache, crew=self._crew),
            examples,
            sample=sample,
            description=self._description,
            answer_alone=lambda example: list(self._answer_all([example])),
        )

    def _answer_all(
        self, examples: Sequence[Example], *, cache: PassCache | None = None, crew: Crew | None = None
    ) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        reads: dict[int, _Read] = {}
        rows: list[Row] = []
        owners: list[int] = []  # of each row, the position of its text
        for position, example in enumerate(examples):
            try:
                start, tokens = self._encoder.encode_text(self._prompting.prompt(example).context)
            except Exception as error:  # one text that cannot be read must not cost the others their scores
                yield position, Answer(example.id, None, error=describe_error(error))
                continue
            own = list(windows(start, tokens, self._encoder.max_length, self._stride))
            reads[position] = _Read(len(tokens), len(own))
            owners += [position] * len(own)
            rows += [
                Row(number, (Query((*context, *predicted[:-1]), predicted),))
                for number, (context, predicted) in enumerate(own, start=len(rows))
            ]
        keys = {row.example: key_of(row, examples[owners[row.example]].id) for row in rows} if cache else {}
        setup_s = (perf_counter() - started) / max(len(rows), 1)
        readings = self._reader.plan(rows, keys)
        for found in run_passes(readings, self._reader, self._make, cache=cache, crew=crew, setup_s=setup_s):
            for row, one in found.items():
                read = reads[owners[row]]
                read.rows_left -= 1
                read.compute_s += one.compute_s
                read.nats -= sum(one.values)
                read.error = one.error or read.error
                if not read.rows_left:
                    yield owners[row], _conclude(examples[owners[row]].id, reads.pop(owners[row]))


def _conclude(example_id: str, read: _Read) -> Answer:
    error = read.error
    if error is None and not math.isfinite(read.nats):
        error = f"the model gave a log-likelihood that is no number: {-read.nats}"
    sums = {"tokens": float(read.tokens)} if error else {"nats": read.nats, "tokens": float(read.tokens)}
    return Answer(example_id, None, sums=sums, tokens_in=read.tokens, compute_s=read.compute_s, error=error)
