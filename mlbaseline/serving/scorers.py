"""Scorers of MLflow as judges: built-in ones by their class, and registered ones by their name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import SuiteError, describe_error
from mlbaseline.records import Scalar, digest_of
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.suite import Scorer

if TYPE_CHECKING:
    from mlflow.genai.scorers import Scorer as MlflowScorer

_CODE = "call_source"
"""Key of a serialised scorer that is a function: MLflow would run the code that it holds."""


def find_scorer(
    tracker: Tracker, spec: Scorer, where: str
) -> tuple[Callable[[dict[str, Any]], Any], Mapping[str, Scalar]]:
    """Find a scorer of MLflow.

    A model that the scorer asks is asked by MLflow, with the keys that MLflow takes from the environment.

    Args:
        tracker: The suite's experiment, in which scorers are registered.
        spec: Name and options.
        where: Path in the suite, for messages.

    Returns:
        A function from the fields of a question to the scorer's value, and what that depends on.

    Raises:
        SuiteError: There is no such scorer, its options are not right, or it is registered as code. Anybody who can
            write to the tracking server could run code here; name a function of the suite instead.
        TrackingError: The server cannot be reached.
    """
    from mlflow.genai.scorers import builtin_scorers

    built_in = getattr(builtin_scorers, spec.name, None)
    if isinstance(built_in, type) and issubclass(built_in, builtin_scorers.BuiltInScorer):
        try:
            scorer = built_in(**spec.options)
        except Exception as error:  # pydantic's, or whatever a scorer checks
            raise SuiteError(f"{where}.options", [f"{spec.name}: {describe_error(error)}"]) from error
        return _scoring(scorer), {"scorer.mlflow_version": metadata.version("mlflow")}
    if spec.options:
        reason = f"{spec.name} is no built-in scorer; a registered one has its own options"
        raise SuiteError(f"{where}.options", [reason])
    content = _registered(tracker, spec.name, where)
    return _scoring(_load(content)), {"scorer.sha256": digest_of(content)}


def _registered(tracker: Tracker, name: str, where: str) -> dict[str, Any]:
    from mlflow.exceptions import MlflowException

    with reporting(f"find the scorer {name!r}", tracker.uri):
        try:
            # The public `get_scorer` of mlflow 3.17 runs the code of a scorer that is a function.
            store = tracker.client._tracking_client.store
            found = store.get_scorer(tracker.experiment_id, name, None)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            reason = f"{name}: no built-in scorer of MLflow is called so, and none is registered in the experiment"
            raise SuiteError(where, [reason]) from error
    content: dict[str, Any] = asdict(found.serialized_scorer)
    if content.get(_CODE):
        reason = (
            f"{name} is registered as code, and anybody who can write to {tracker.uri} may have put it there. "
            "Expected a built-in scorer or one made of instructions (`make_judge`); put a function into the suite's "
            "folder and name it as `function`"
        )
        raise SuiteError(where, [reason])
    return content


def _load(content: dict[str, Any]) -> MlflowScorer:
    from mlflow.genai.scorers import Scorer as MlflowScorer

    return MlflowScorer.model_validate(content)


def _scoring(scorer: MlflowScorer) -> Callable[[dict[str, Any]], Any]:
    def score(fields: dict[str, Any]) -> Any:
        expected = {"expectations": {"expected_response": fields["target"]}} if "target" in fields else {}
        feedback = scorer.run(inputs={"question": fields["prompt"]}, outputs=fields["answer"], **expected)
        if getattr(feedback, "error", None) is not None:
            raise ValueError(str(feedback.error))
        value = getattr(feedback, "value", feedback)
        return getattr(value, "value", value)  # a rating is an enumeration

    return score
