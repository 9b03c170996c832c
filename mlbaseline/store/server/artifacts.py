"""Where artifacts may be fetched from. A run names its location, so whoever can create an experiment can name any host.

MLflow sends the tracking server's token to an `http` or `mlflow-artifacts` location, whatever its host. Every fetch
therefore passes `check_location` first.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from mlbaseline.errors import TrackingError
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.patience import asking_again
from mlbaseline.store.server.reporting import reporting

ALLOWED_HOSTS = "MLBASELINE_ARTIFACT_HOSTS"
"""Environment variable: further hosts, separated by commas, that artifacts may be fetched from over HTTP."""
_PROXIED = ("http", "https", "mlflow-artifacts")
_LOCAL = ("", "file")
_BUCKETS = ("s3", "gs", "wasb", "wasbs", "abfs", "abfss", "dbfs", "r2", "uc")
"""Object stores: they are read with credentials of their own, and the tracking server's token is not sent to them."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_location(server: Server, location: str) -> str:
    """Check that artifacts may be fetched from a location, and return it.

    Args:
        server: the tracking server that named the location.
        location: URI or local path of an artifact, or of a folder of them.

    Raises:
        TrackingError: the location is on another host than the tracking server and not in `MLBASELINE_ARTIFACT_HOSTS`,
            is a local file that a remote server names, or has a scheme that is not allowed.
    """
    tracking, target = urlsplit(server.uri), urlsplit(location)
    scheme = target.scheme.lower()
    if len(scheme) == 1:  # a drive letter
        scheme = ""
    if scheme in _BUCKETS:
        return location
    if scheme in _LOCAL:
        if not tracking.scheme.startswith("http") or tracking.hostname in _LOOPBACK:
            return location
        raise _refused(server, location, "a remote server names a file of this machine")
    if scheme in _PROXIED:
        is_own = tracking.scheme.startswith("http") and _address(target) == _address(tracking)
        if (scheme == "mlflow-artifacts" and not target.netloc) or is_own or target.hostname in _named_hosts():
            return location
        raise _refused(server, location, f"expected the tracking server's own address, got {target.netloc!r}")
    allowed = ", ".join(("file", *_PROXIED, *_BUCKETS))
    raise _refused(server, location, f"expected one of the schemes {allowed}, got {scheme!r}")


def _address(uri: SplitResult) -> tuple[str | None, int | None]:
    default = {"http": 80, "https": 443}.get(uri.scheme)
    return uri.hostname, uri.port or default


def _named_hosts() -> tuple[str, ...]:
    return tuple(host.strip().lower() for host in os.environ.get(ALLOWED_HOSTS, "").split(",") if host.strip())


def _refused(server: Server, location: str, why: str) -> TrackingError:
    return TrackingError(
        f"{server.uri}: artifacts at {location[:200]!r} are not fetched: {why}. The tracking server's token would be "
        f"sent there, or a file read that nobody meant. If the host is yours, name it in {ALLOWED_HOSTS}."
    )


def fetch_artifact(server: Server, run_id: str, path: str, folder: Path) -> Path:
    """Fetch a file or folder of a run, from an allowed location only.

    Args:
        server: The tracking server.
        run_id: The run that has the artifact.
        path: of the artifact in the run.
        folder: where to put it; it is created if it is not there.

    Returns:
        Where it lies on this machine.

    Raises:
        TrackingError: the location is not allowed, or the artifact cannot be fetched.
    """
    from mlflow.artifacts import download_artifacts

    with reporting(f"fetch {path} of the run {run_id}", server.uri):
        location = check_location(server, server.client.get_run(run_id).info.artifact_uri)
        folder.mkdir(parents=True, exist_ok=True)
        # By the artifacts' own address: by run id, MLflow would first look for models of that name.
        fetch = asking_again(download_artifacts)
        return Path(fetch(f"{location}/{path}", dst_path=str(folder), tracking_uri=server.uri))
