"""Requests whose answers do not arrive.

MLflow's client repeats a request that got no answer, or one that says that the server is busy or failing, POSTs
included. Two things are left to us. An answer that begins and breaks off is an error to it: `PatientClient` asks again.
And what a server made before its answer was lost is there twice after the repetition: code that makes something looks
for its twins (`delete_twins`, `items`, `registry.promotion`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7"}
"""Settings of MLflow's client, where the environment has no others. It waits 0, 4, 8, 16, 32, 64 and 120 seconds
between its attempts: a server may be away for four minutes."""
_TRIES, _PAUSE_S = 8, 0.2
_BROKEN = ("Connection broken", "InvalidChunkLength", "IncompleteRead")


def is_remote(uri: str) -> bool:
    """Tell whether requests to a tracking URI travel, and so can be repeated without our knowledge."""
    return uri.startswith("http")


class PatientClient:
    """MLflow's client, whose requests are made again where an answer broke off.

    Args:
        client: Every method of it is one here.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return asking_again(method) if callable(method) else method


def asking_again(call: Callable[P, T]) -> Callable[P, T]:
    """Return a function that repeats a call, a few times at most, where the answer began and broke off."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    @wraps(call)
    def patient(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, _TRIES):
            try:
                return call(*args, **kwargs)
            except (MlflowException, RequestException) as error:
                if not _broke_off(error):
                    raise
                time.sleep(_PAUSE_S * attempt)
        return call(*args, **kwargs)

    return patient


def be_patient() -> None:
    """Set how long MLflow's client waits for a server, unless the environment says it."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)


def _broke_off(error: BaseException) -> bool:
    """Tell an answer that began and broke off from a server that stayed away: the latter was waited for already."""
    from requests.exceptions import ChunkedEncodingError, ContentDecodingError
    from requests.exceptions import ConnectionError as BrokenConnectionError
    from urllib3.exceptions import MaxRetryError

    cause = error.__cause__ or error.__context__
    for each in (error, cause):
        if isinstance(each, BrokenConnectionError | ChunkedEncodingError | ContentDecodingError):
            return not any(isinstance(reason, MaxRetryError) for reason in each.args)
    # Of several downloads, MLflow reports the failures as one text.
    return any(sign in str(error) for sign in _BROKEN)
