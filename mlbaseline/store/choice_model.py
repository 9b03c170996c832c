"""The code of a served model: MLflow copies this file into the model and runs it to serve ("models from code")."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from mlbaseline.records import Answer, Example
from mlbaseline.store.served_model import SERVED, Served, load_served


class ChoiceModel(PythonModel):  # type: ignore[misc]  # mlflow is not typed
    """Rows with the fields of the prompt ─▶ `label`, `probability.<label>` and `error`, one row each, same order."""

    def load_context(self, context: Any) -> None:
        self.served, self.model = load_served(Path(context.artifacts[SERVED]))

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """Log-likelihoods of the choices, softmaxed, exactly as in the evaluation that the model was promoted for."""
        rows = [
            dict(zip(self.served.columns, row, strict=True)) for row in model_input[[*self.served.columns]].to_numpy()
        ]
        examples = [_example(self.served, f"{position:09}", row) for position, row in enumerate(rows)]
        answers = {answer.example_id: answer for answer in self.model.answer(examples)}
        return pd.DataFrame([_row(self.served, answers[example.id]) for example in examples])


def _example(served: Served, row_id: str, row: dict[str, Any]) -> Example:
    choices = served.choices or tuple(str(row[column]) for column in served.choice_columns)
    return Example(row_id, row, served.labels[0], choices)  # the target is not known here, and not read


def _row(served: Served, answer: Answer) -> dict[str, Any]:
    nats = answer.loglik_nats or (math.nan,) * len(served.labels)
    most = max(nats)
    weights = [math.exp(value - most) for value in nats]
    probabilities = {f"probability.{label}": w / sum(weights) for label, w in zip(served.labels, weights, strict=True)}
    return {"label": answer.prediction, **probabilities, "error": answer.error}


set_model(ChoiceModel())
