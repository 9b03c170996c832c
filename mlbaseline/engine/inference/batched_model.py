"""What all models that a checkpoint answers have in common: batches of all examples, then some examples alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial

from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.timing import answer_and_time
from mlbaseline.engine.inference.tokenization import make_encoder
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import PromptFormat

LOCAL = Execution()
"""In this process, without a cache."""


class BatchedModel(ABC):
    """A `records.Model` that answers in batches and times some examples alone.

    Batches are formed from all examples, sorted, whatever is cached: an interrupted evaluation that continues gives the
    same bits as one that was not interrupted.
    """

    def __init__(
        self, checkpoint: Checkpoint, prompting: PromptFormat, evaluation: Evaluation, execution: Execution = LOCAL
    ) -> None:
        """Prepare tokenizer and options.

        Args:
            checkpoint: its tokenizer reads the prompts.
            prompting: makes the prompts.
            evaluation: batch size, maximum length, latency sample.
            execution: cache, worker processes, progress bar.
        """
        self._prompting, self._evaluation, self._execution = prompting, evaluation, execution
        self._encoder = make_encoder(checkpoint, evaluation)
        self._n_to_time = evaluation.latency_sample

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the examples alone, evenly spread over all.

        An example that cannot be answered becomes an answer with `error` set; a batch that fails is halved. Who answers
        the examples of a test in several calls times so many in all, the first ones.
        """
        n_timed, self._n_to_time = self._n_to_time, max(0, self._n_to_time - len(examples))
        return answer_and_time(
            partial(self._answer_all, execution=self._execution),
            examples,
            latency_sample=n_timed,
            description=self._execution.description,
            answer_alone=self.answer_alone,
        )

    def answer_alone(self, example: Example) -> None:
        """Compute the answer to one example, in this process and whatever is cached, to see how long it takes."""
        for _ in self._answer_all([example], execution=LOCAL):
            pass

    @abstractmethod
    def _answer_all(self, examples: Sequence[Example], *, execution: Execution) -> Iterator[tuple[int, Answer]]:
        """Answer examples with their positions, in any order."""
