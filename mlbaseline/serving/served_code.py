"""The code of a served model: MLflow copies this file into the model and runs it to serve ("models from code")."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from mlbaseline.records import Example
from mlbaseline.serving.served import SERVED, Served, load_served
from mlbaseline.tasks import kind_of


class ServedModel(PythonModel):  # type: ignore[misc]  # mlflow is not typed
    """Answers rows with the fields of the prompt: one row each, in the same order.

    An answer has the columns of the kind of task and `error`.

    choice: `label` and `probability.<label>`. generate: `text`, and `raw`, the whole text, where the task extracts its
    answer. perplexity: `nats` and `tokens`.
    """

    def load_context(self, context: Any) -> None:
        self.served, self.model = load_served(Path(context.artifacts[SERVED]))
        # A server handles several requests at once, and the engine has one model with hooks on it.
        self.lock = threading.Lock()

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """Answer as in the evaluation that the model was promoted for."""
        rows = [
            dict(zip(self.served.columns, row, strict=True)) for row in model_input[[*self.served.columns]].to_numpy()
        ]
        examples = [_example(self.served, f"{position:09}", row) for position, row in enumerate(rows)]
        with self.lock:
            answers = {answer.example_id: answer for answer in self.model.answer(examples)}
        kind, ordered = kind_of(self.served.task), [answers[example.id] for example in examples]
        return pd.DataFrame([{**kind.served_row(answer), "error": answer.error} for answer in ordered])


def _example(served: Served, row_id: str, row: dict[str, Any]) -> Example:
    choices = tuple(str(row[column]) for column in served.choice_columns) or served.task.labels
    return Example(row_id, row, "", choices)  # the target is not known here, and not read


set_model(ServedModel())
