"""What the records say that a registered version is, and whether its files are that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError, UntrustedModelError
from mlbaseline.model_files import NO_DIGESTS, ModelDigests
from mlbaseline.store.runs import read_evaluation
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.tracking import PREFIX

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

EVALUATION_RUN_ID = PREFIX + "evaluation_run_id"


def stated_digests(server: Server, version: ModelVersion) -> ModelDigests:
    """Read the digests of a version's files from the run that evaluated them; none where mlbaseline did not promote it.

    Raises:
        UntrustedModelError: the version names a run that is gone, or is no completed evaluation.
    """
    run_id = version.tags.get(EVALUATION_RUN_ID)
    if run_id is None:
        return NO_DIGESTS
    try:
        return read_evaluation(server, run_id).model
    except TrackingError as error:
        raise UntrustedModelError(
            f"version {version.version} of {version.name!r} names the evaluation {run_id}, and what that "
            f"run says of the model cannot be read: {error}"
        ) from error


def require_same_model(folder: Path, stated: ModelDigests, what: str) -> None:
    """Check that a model's files are those that were evaluated.

    Args:
        folder: the whole model, as it is stored or fetched.
        stated: the digests that the registry has of it.
        what: names it in the message.

    Raises:
        UntrustedModelError: they are others.
    """
    if difference := stated.difference(folder):
        raise UntrustedModelError(
            f"{what} is not the model that was evaluated: {difference} (files: {folder}). Somebody changed them "
            "afterwards, or the copy is damaged: then delete it. `mlbaseline verify` checks every link of a version."
        )
