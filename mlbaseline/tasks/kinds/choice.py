"""Tasks whose answer is one of several choices: the model gives the log-likelihood of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlbaseline.errors import DataError
from mlbaseline.records import Answer, Scalar
from mlbaseline.suite import ChoiceTask, Normalisation
from mlbaseline.tasks.kinds.kind import PromptedKind, ServedColumn
from mlbaseline.tasks.targets import LabelTargets, TargetReader, UsableRows


class ChoiceKind(PromptedKind[ChoiceTask]):
    """The label with the most likely choice is the answer."""

    def target_reader(self, rows: UsableRows) -> TargetReader:
        """Read labels, or positions or texts of choices that differ by example."""
        return LabelTargets(self.task, rows)

    @property
    def normalisation(self) -> Normalisation:
        """As the task has it."""
        return self.task.normalisation

    @property
    def counts_tokens(self) -> bool:
        """True where log-likelihoods are divided by the number of tokens."""
        return self.task.normalisation == "token"

    def signature_fields(self) -> dict[str, Scalar]:
        """Say how log-likelihoods are normalised, if they are: signatures from before that choice have no field."""
        return {} if self.task.normalisation == "none" else {"choices.normalisation": self.task.normalisation}

    def training_fields(self) -> dict[str, Scalar]:
        """None: signatures from before there were other kinds have no field."""
        return {}

    def choose(self, loglik_nats: Sequence[float], choices: Sequence[str]) -> int | None:
        """Choose by the log-likelihood per byte, where the task asks for it."""
        if self.task.normalisation == "none":
            return None
        if self.task.normalisation != "byte":
            raise DataError(
                f"what is needed for `normalisation: {self.task.normalisation}` is not in the source; without it "
                "the answers would be those of another task"
            )
        scores = [
            nats / max(len(choice.strip().encode()), 1) for nats, choice in zip(loglik_nats, choices, strict=True)
        ]
        return max(range(len(scores)), key=scores.__getitem__)

    def served_columns(self) -> tuple[ServedColumn, ...]:
        """Return the label, and the probability of each."""
        probabilities = (ServedColumn(f"probability.{label}", "double") for label in self.task.labels)
        return (ServedColumn("label", "string"), *probabilities)

    def served_row(self, answer: Answer) -> dict[str, str | float | None]:
        """Log-likelihoods of the choices, softmaxed."""
        labels = self.task.labels
        nats = answer.loglik_nats or (math.nan,) * len(labels)
        most = max(nats)
        weights = [math.exp(value - most) for value in nats]
        probabilities = {f"probability.{label}": w / sum(weights) for label, w in zip(labels, weights, strict=True)}
        return {"label": answer.prediction, **probabilities}
