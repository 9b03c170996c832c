"""A registered model when it is loaded to serve: is it the one that its version's records say it is?"""

from __future__ import annotations

import logging
from pathlib import Path

import yaml

from mlbaseline.errors import SignatureError, TrackingError
from mlbaseline.model_files import ADDED_BY_MLFLOW
from mlbaseline.signing import SIGNED_BY, TrustedKeys
from mlbaseline.store.registry.signed_versions import require_signed_model
from mlbaseline.store.registry.stated import require_same_model, stated_digests
from mlbaseline.store.server.connection import reach
from mlbaseline.store.server.reporting import reporting

log = logging.getLogger("mlbaseline")


def check_registered(folder: Path) -> None:
    """Check the files of a model that MLflow loaded from a registry against the records of its version.

    MLflow notes beside the files which version they are of. A model that was loaded otherwise, or where no tracking
    server is named, has no records to be held to. A server that is away is a warning: what is in production goes on.
    Where `MLBASELINE_SIGNED_BY` names keys, neither is good enough: the version must be signed by one of them.

    Args:
        folder: the whole model.

    Raises:
        SignatureError: the model is not signed as the operator asks.
        TrackingError: the signature that the operator asks for cannot be fetched.
        UntrustedModelError: the files are not those that were evaluated.
    """
    from mlflow import is_tracking_uri_set

    trusted, (name, number) = TrustedKeys.of_environment(), _noted_version(folder)
    if name is None or number is None or not is_tracking_uri_set():
        if trusted is not None:
            raise SignatureError(
                f"{folder}: {SIGNED_BY} asks for a signature, which lies on the tracking server beside the version. "
                "Load the model as models:/NAME@ALIAS or models:/NAME/VERSION, with MLFLOW_TRACKING_URI set."
            )
        return
    try:
        server = reach(None)
        with reporting(f"read version {number} of {name!r}", server.uri):
            version = server.client.get_model_version(name, number)
        stated = stated_digests(server, version)
    except TrackingError as error:
        if trusted is not None:
            raise
        log.warning("%s, version %s: its files were not checked against its records: %s", name, number, error)
        return
    require_same_model(folder, stated, f"version {number} of {name!r}")
    if trusted is not None:
        require_signed_model(server, version, trusted, folder)


def _noted_version(folder: Path) -> tuple[str | None, str | None]:
    try:
        noted = yaml.safe_load((folder / ADDED_BY_MLFLOW[0]).read_text(encoding="utf-8"))
        return str(noted["model_name"]), str(noted["model_version"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None, None
