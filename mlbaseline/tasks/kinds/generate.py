"""Tasks whose answer is a text that the model generates."""

from __future__ import annotations

from mlbaseline.metrics.text import K
from mlbaseline.records import Answer, Scalar
from mlbaseline.suite import GenerateTask
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.kinds.kind import PromptedKind, ServedColumn


class GenerateKind(PromptedKind[GenerateTask]):
    """The generated text, or what the task extracts from it, is the answer."""

    @property
    def decoding(self) -> Decoding:
        """As the task has it."""
        return Decoding.of(self.task)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return the k of pass@k."""
        return {K: self.task.k}

    def served_columns(self) -> tuple[ServedColumn, ...]:
        """Return the answer and, where it is extracted, the whole text."""
        raw = () if self.task.extract is None else (ServedColumn("raw", "string"),)
        return (ServedColumn("text", "string"), *raw)

    def served_row(self, answer: Answer) -> dict[str, str | float | None]:
        """Return the answer and, where it is extracted, the whole text."""
        return {"text": answer.prediction, **({} if self.task.extract is None else {"raw": answer.raw})}
