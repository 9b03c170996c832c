"""The code of a served model: MLflow copies this file into the model and runs it to serve ("models from code")."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from mlbaseline.records import Answer, Example
from mlbaseline.serving.package import SERVED, Served, load_served
from mlbaseline.suite import GenerateTask


class ServedModel(PythonModel):  # type: ignore[misc]  # mlflow is not typed
    """Rows with the fields of the prompt ─▶ what the kind of task answers, and `error`, one row each, same order.

    choice: `label` and `probability.<label>`. generate: `text`, and `raw`, all of what was written, where the
    task extracts its answer. perplexity: `nats` and `tokens`.
    """

    def load_context(self, context: Any) -> None:
        self.served, self.model = load_served(Path(context.artifacts[SERVED]))
        # A server answers several requests at once, and the engine has one model and hooks of its own on it.
        self.turn = threading.Lock()

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """Answers exactly as in the evaluation that the model was promoted for."""
        rows = [
            dict(zip(self.served.columns, row, strict=True)) for row in model_input[[*self.served.columns]].to_numpy()
        ]
        examples = [_example(self.served, f"{position:09}", row) for position, row in enumerate(rows)]
        with self.turn:
            answers = {answer.example_id: answer for answer in self.model.answer(examples)}
        found = [_ANSWERS[self.served.task.kind](self.served, answers[example.id]) for example in examples]
        errors = [answers[example.id].error for example in examples]
        return pd.DataFrame([{**row, "error": error} for row, error in zip(found, errors, strict=True)])


def _example(served: Served, row_id: str, row: dict[str, Any]) -> Example:
    choices = tuple(str(row[column]) for column in served.choice_columns) or served.task.labels
    return Example(row_id, row, "", choices)  # the target is not known here, and not read


def _choice(served: Served, answer: Answer) -> dict[str, Any]:
    """Log-likelihoods of the choices, softmaxed."""
    labels = served.task.labels
    nats = answer.loglik_nats or (math.nan,) * len(labels)
    most = max(nats)
    weights = [math.exp(value - most) for value in nats]
    return {
        "label": answer.prediction,
        **{f"probability.{label}": w / sum(weights) for label, w in zip(labels, weights, strict=True)},
    }


def _text(served: Served, answer: Answer) -> dict[str, Any]:
    extracts = isinstance(served.task, GenerateTask) and served.task.extract is not None
    return {"text": answer.prediction, **({"raw": answer.raw} if extracts else {})}


def _likelihood(_: Served, answer: Answer) -> dict[str, Any]:
    return {name: answer.sums.get(name) for name in ("nats", "tokens")}


_ANSWERS = {"choice": _choice, "generate": _text, "perplexity": _likelihood}

set_model(ServedModel())
