"""Tasks that measure how likely a model finds whole texts."""

from __future__ import annotations

from mlbaseline.records import Answer, Scalar
from mlbaseline.suite import Evaluation, PerplexityTask
from mlbaseline.tasks.kinds.kind import ServedColumn, TaskKind

_SUMS = ("nats", "tokens")


class PerplexityKind(TaskKind[PerplexityTask]):
    """The negative log-likelihood of a text and its number of tokens are the answer."""

    @property
    def stride(self) -> int | None:
        """As the task has it."""
        return self.task.stride

    @property
    def counts_tokens(self) -> bool:
        """Always: a perplexity per token is one of the metrics."""
        return True

    def answer_fields(self, evaluation: Evaluation) -> dict[str, Scalar]:
        """Return the windows in which a text is read."""
        return {"text.window": evaluation.max_length, "text.stride": self.task.stride}

    def served_columns(self) -> tuple[ServedColumn, ...]:
        """Negative log-likelihood (nats) and number of tokens."""
        return tuple(ServedColumn(name, "double") for name in _SUMS)

    def served_row(self, answer: Answer) -> dict[str, str | float | None]:
        """Negative log-likelihood (nats) and number of tokens."""
        return {name: answer.sums.get(name) for name in _SUMS}
