"""The code of a served model: MLflow copies this file into the model and runs it to serve ("models from code")."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from mlbaseline.records import Answer, Example
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
        """Answer as in the evaluation that the model was promoted for; a row with a null gets an error instead."""
        asked = model_input[[*self.served.columns]]
        examples = [_example(self.served, f"{n:09}", row) for n, row in enumerate(asked.to_numpy().tolist())]
        nulls = [", ".join(asked.columns[row]) for row in asked.isna().to_numpy()]
        complete = [example for example, columns in zip(examples, nulls, strict=True) if not columns]
        with self.lock:
            answers = {answer.example_id: answer for answer in self.model.answer(complete)} if complete else {}
        for example, columns in zip(examples, nulls, strict=True):
            if columns:
                answers[example.id] = Answer(example.id, None, error=f"{columns}: expected a text, got null")
        return _table(self.served, [answers[example.id] for example in examples])


def _table(served: Served, answers: Sequence[Answer]) -> pd.DataFrame:
    kind = kind_of(served.task)
    table = pd.DataFrame([{**kind.served_row(answer), "error": answer.error} for answer in answers])
    # The server would write NaN for a number that is not there, which is no JSON: clients could not read any row.
    gaps = table.columns[table.isna().any()]
    return table.assign(**{name: table[name].astype(object).where(table[name].notna(), None) for name in gaps})


def _example(served: Served, row_id: str, values: Sequence[Any]) -> Example:
    row = dict(zip(served.columns, values, strict=True))
    choices = tuple(str(row[column]) for column in served.choice_columns) or served.task.labels
    return Example(row_id, row, "", choices)  # the target is not known here, and not read


set_model(ServedModel())
