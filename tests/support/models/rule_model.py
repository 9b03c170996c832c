"""A registered model that needs no weights: a rule, as a pyfunc model from code."""

from __future__ import annotations

import re

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from mlbaseline.model_files import model_sha256
from mlbaseline.store.server.connection import reach
from mlbaseline.store.server.references import stored_model
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.workplace import Workplace

MODEL = """
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Rule(PythonModel):
    def predict(self, context, model_input, params=None):
        if "soup" in str(model_input["text"].iloc[0]) and len(model_input) == 1:
            raise ValueError("no soup today")
        return ["Good." if text[-1] in "SIGNS" else "bad" for text in model_input["text"]]

set_model(Rule())
"""


def register(cheap_ladder: CheapLadder, signs: str, *columns: str, code: str = MODEL) -> str:
    """A pyfunc model from code, that calls what ends in one of the signs good, as the champion. Gives its version.

    Where the suite names the champion already, it is told the digest.
    """
    path = cheap_ladder.folder / "model.py"
    path.write_text(code.replace("SIGNS", signs), encoding="utf-8")
    mlflow.set_tracking_uri(cheap_ladder.uri)
    mlflow.set_experiment("somebody-elses")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="rule",
            python_model=str(path),
            pip_requirements=["mlflow"],
            signature=ModelSignature(
                Schema([ColSpec("string", name) for name in columns]), Schema([ColSpec("string")])
            ),
            registered_model_name="reviews-rule",
        )
    client = mlflow.MlflowClient(cheap_ladder.uri)
    client.set_registered_model_alias("reviews-rule", "champion", info.registered_model_version)
    name_by_digest(cheap_ladder, "models:/reviews-rule@champion")
    return str(info.registered_model_version)


def name_by_digest(workplace: Workplace, uri: str) -> str:
    """Write the digest of the model behind a reference beside that reference into the suite, and give it."""
    with stored_model(reach(workplace.uri), uri) as folder:
        sha256 = model_sha256(folder)
    text = workplace.suite.read_text(encoding="utf-8") if workplace.suite.is_file() else ""
    written = rf"""(['"]){uri}\1(, sha256: "\w+")?"""
    named = re.sub(written, rf'\1{uri}\1, sha256: "{sha256}"', text)
    if named != text:
        workplace.suite.write_text(named, encoding="utf-8")
    return sha256
