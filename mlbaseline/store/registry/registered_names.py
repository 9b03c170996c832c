"""Which registered models and versions a server has: a name that none has is answered with the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.references import parse_model
from mlbaseline.store.server.reporting import reporting
from mlbaseline.suggestions import did_you_mean

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

_MOST_NAMES = 1000


def is_registered(server: Server, model: str) -> bool:
    """Tell whether there is a registered model of that name. Raises TrackingError."""
    from mlflow.exceptions import MlflowException

    with reporting(f"read the registered model {model!r}", server.uri):
        try:
            server.client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
    return True


def require_registered(server: Server, model: str) -> None:
    """Check that there is a registered model of that name.

    Raises:
        TrackingError: There is none, and the message names those that there are; or the server cannot be reached.
    """
    if is_registered(server, model):
        return
    with reporting("list the registered models", server.uri):
        names = [each.name for each in server.client.search_registered_models(max_results=_MOST_NAMES)]
    raise TrackingError(
        f"{server.uri}: there is no registered model {model!r}{did_you_mean(model, names)}\n"
        "A suite names its registered model in `register_as`, which need not be its `name`."
    )


def find_version(server: Server, model: str, *, version: str | None = None, alias: str | None = None) -> ModelVersion:
    """Read a version of a registered model.

    Args:
        server: The tracking server.
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a name.
        version: Of a name: this version, whatever its aliases.
        alias: Of a name: the version that holds this alias. By default `champion`.

    Raises:
        TrackingError: There is no such version, it is named twice, or the server cannot be reached.
    """
    uri = model
    if not model.startswith("models:/"):
        uri = f"models:/{model}/{version}" if version else f"models:/{model}@{alias or 'champion'}"
    elif version or alias:
        raise TrackingError(f"{model} names its version already; leave --version and --alias out")
    parts = parse_model(uri)
    if parts["id"] or parts["path"]:
        raise TrackingError(f"{uri}: expected models:/NAME@ALIAS or models:/NAME/VERSION, a version of a model")
    require_registered(server, parts["name"])
    with reporting(f"find {uri}", server.uri):
        if parts["alias"]:
            return server.client.get_model_version_by_alias(parts["name"], parts["alias"])
        return server.client.get_model_version(parts["name"], parts["version"])
