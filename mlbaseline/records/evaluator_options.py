"""What a user sets of our evaluator in `mlflow.models.evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class EvaluatorOptions:
    """Options of the evaluator `mlbaseline`: the keys of `evaluator_config`.

    Attributes:
        baseline_run_id: Run whose predictions are the baseline: an evaluation of a suite, or a run that this evaluator
            logged to.
        baseline_column: Column of the data with the predictions of the baseline.
        id_column: Column that names the examples. Without it, an example is named by the content of its inputs.
        cluster_column: Column that says which examples belong together.
        metrics: Names of our metrics; by default those of the model type.
        level: Of the intervals.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    baseline_run_id: str | None = None
    baseline_column: str | None = None
    id_column: str | None = None
    cluster_column: str | None = None
    metrics: tuple[str, ...] = ()
    level: float = 0.95

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data that are no input of the model."""
        named = (self.baseline_column, self.id_column, self.cluster_column)
        return tuple(name for name in named if name is not None)
