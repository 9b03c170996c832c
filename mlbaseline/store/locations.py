"""Where an artifact can be opened by a person."""

from __future__ import annotations

from urllib.parse import urlparse
from urllib.request import url2pathname

from mlbaseline.store.tracking import Tracker, reporting


def locate_artifact(tracker: Tracker, run_id: str, path: str) -> str:
    """A path of this machine where the artifacts lie on it, else the address `runs:/…` that MLflow fetches."""
    with reporting(f"read the run {run_id}", tracker.uri):
        parsed = urlparse(tracker.client.get_run(run_id).info.artifact_uri)
    if parsed.scheme in ("", "file"):
        return f"{url2pathname(parsed.path)}/{path}"
    return f"runs:/{run_id}/{path}"
