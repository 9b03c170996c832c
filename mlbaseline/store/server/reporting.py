"""What MLflow, its transport and the disk raise, as errors that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from mlbaseline.errors import MlbaselineError, TrackingError


@contextmanager
def reporting(action: str, uri: str) -> Iterator[None]:
    """Turn what MLflow, its transport and the disk raise into a TrackingError that says where and what to do."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlbaselineError:
        raise
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= 600 else reason[:600] + " …"
        raise TrackingError(f"{uri}: could not {action}: {reason}{_remedy(error, uri)}") from error


_UNREACHABLE = ("NewConnectionError", "NameResolutionError", "Connection refused", "timed out")
_UNKNOWN_MODEL = "Registered Model with name="
_FAILING = ("too many 50", "Connection aborted", "Broken pipe", "reset by peer", "Max retries")


def _remedy(error: BaseException, uri: str) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "\nThe disk is full. Free some space and run again: what is completed is kept and will be reused."
    if any(sign in text for sign in _UNREACHABLE):
        return (
            f"\nIs the server up and the address right? Check with `curl {uri.rstrip('/')}/health`, start one with "
            "`mlflow server`, or choose another with --tracking-uri or MLFLOW_TRACKING_URI."
        )
    if _UNKNOWN_MODEL in text and "not found" in text:
        return "\nA suite names its registered model in `register_as`, which need not be its `name`."
    if any(sign in text for sign in _FAILING):
        return (
            "\nThe server is there, but fails: its log says why. Is the disk under its artifact root full? "
            "What is completed is kept and will be reused."
        )
    return ""
