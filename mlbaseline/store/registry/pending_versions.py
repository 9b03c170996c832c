"""Versions of promotions that are under way: marked as pending from their creation until both aliases are set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.heartbeat import is_gone
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

STATE, PENDING, DONE = PREFIX + "promotion", "pending", "done"
PROMOTION_RUN_ID = PREFIX + "promotion_run_id"


def pending_versions(server: Server, model: str) -> list[ModelVersion]:
    """Find the pending versions of a registered model. Raises TrackingError."""
    query = f"name = '{model}' and tags.`{STATE}` = '{PENDING}'"
    with reporting(f"search the versions of {model!r}", server.uri):
        return list(server.client.search_model_versions(query))


def is_written(server: Server, run_id: str) -> bool:
    """Tell whether a run is open and its process at work. A run that is not there is not. Raises TrackingError."""
    from mlflow.exceptions import MlflowException

    with reporting(f"read the run {run_id}", server.uri):
        try:
            run = server.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise
    return run.info.status == "RUNNING" and not is_gone(run.data.tags)


def delete_version(server: Server, version: ModelVersion) -> None:
    """Delete a version of a registered model. One that is gone already is no error. Raises TrackingError."""
    from mlflow.exceptions import MlflowException

    with reporting(f"withdraw version {version.version} of {version.name!r}", server.uri):
        try:
            server.client.delete_model_version(version.name, version.version)
        except MlflowException as error:
            # Somebody else, or our own request, which MLflow's client repeats where its answer was lost.
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
