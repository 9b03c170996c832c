"""Log-likelihoods of whole texts by a causal model, in windows as lm-evaluation-harness forms them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from mlbaseline.engine.inference.batched_model import LOCAL, BatchedModel
from mlbaseline.engine.inference.execution import Execution, execute_batches
from mlbaseline.engine.inference.tokenization import split_into_windows
from mlbaseline.engine.scoring.log_likelihood_scorer import LogLikelihoodScorer
from mlbaseline.engine.scoring.prefix_tree import ScoringRequest
from mlbaseline.errors import describe_error
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example, id_at
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import PromptFormat


@dataclass
class _TextSums:
    """Sums over the windows of one text that were computed so far."""

    tokens: int
    windows_left: int
    nats: float = 0.0
    compute_s: float = 0.0
    batch: int | None = None
    error: str | None = None


class TextScorer(BatchedModel):
    """A `records.Model`: `sums` of an answer holds the text's negative log-likelihood in nats, and its tokens.

    The first window follows the tokenizer's start token. Each further one predicts `stride` tokens, with as much
    context as `max_length` allows; without a stride, windows overlap by one token only (the `rolling` log-likelihood
    of lm-evaluation-harness).
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: PromptFormat,
        evaluation: Evaluation,
        execution: Execution = LOCAL,
        *,
        stride: int | None = None,
    ) -> None:
        """Prepare a checkpoint.

        Args:
            checkpoint: causal language model.
            prompting: its prompts are the texts.
            evaluation: batch size, maximum length, latency sample.
            execution: cache, worker processes, progress bar.
            stride: tokens that each further window predicts; None: `max_length`.
        """
        super().__init__(checkpoint, prompting, evaluation, execution)
        self._stride = min(stride or self._encoder.max_length, self._encoder.max_length)
        self._make_scorer = partial(
            LogLikelihoodScorer, batch_tokens=evaluation.batch_tokens, invariant=evaluation.invariant
        )
        self._scorer = self._make_scorer(checkpoint)

    def _answer_all(self, examples: Sequence[Example], *, execution: Execution) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        sums: dict[int, _TextSums] = {}
        requests: list[ScoringRequest] = []
        text_of: list[int] = []  # of each request, the position of its text
        for position, example in enumerate(examples):
            try:
                start, tokens = self._encoder.encode_text(self._prompting.prompt(example).context)
            except Exception as error:  # any error in a user's template or data; one text must not fail the others
                yield position, Answer(example.id, None, error=describe_error(error))
                continue
            windows = list(split_into_windows(start, tokens, self._encoder.max_length, self._stride))
            sums[position] = _TextSums(len(tokens), len(windows))
            text_of += [position] * len(windows)
            requests += [ScoringRequest(number, (w,)) for number, w in enumerate(windows, start=len(requests))]
        keyed = requests if execution.cache else ()
        keys = {request.number: request.cache_key(id_at(examples, text_of[request.number])) for request in keyed}
        setup_s = (perf_counter() - started) / max(len(requests), 1)
        batches = self._scorer.make_batches(requests, keys)
        for results in execute_batches(batches, self._scorer, self._make_scorer, execution, setup_s=setup_s):
            for number, result in results.items():
                text = sums[text_of[number]]
                text.windows_left -= 1
                text.compute_s += result.compute_s
                text.batch = result.batch  # of its last window
                text.nats -= sum(result.values)
                text.error = result.error or text.error
                if not text.windows_left:
                    yield text_of[number], _make_answer(id_at(examples, text_of[number]), sums.pop(text_of[number]))


def _make_answer(example_id: str, text: _TextSums) -> Answer:
    error = text.error
    if error is None and not math.isfinite(text.nats):
        error = f"the model gave a log-likelihood that is no number: {-text.nats}"
    sums = {"tokens": float(text.tokens)} if error else {"nats": text.nats, "tokens": float(text.tokens)}
    return Answer(
        example_id, None, sums=sums, tokens_in=text.tokens, compute_s=text.compute_s, batch=text.batch, error=error
    )
