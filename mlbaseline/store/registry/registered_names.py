"""Which registered models a server has: a name that none of them has is answered with the nearest."""

from __future__ import annotations

from mlbaseline.errors import TrackingError
from mlbaseline.store.server.tracking import Server, reporting
from mlbaseline.suggestions import did_you_mean

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
