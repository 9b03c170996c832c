"""`runs:/` and `models:/` references ─▶ a local path."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from mlbaseline.errors import TrackingError
from mlbaseline.records import digest_of
from mlbaseline.store.tracking import Tracker, reporting

_MODEL = re.compile(
    r"^models:/((?P<id>m-[0-9a-f]+)|(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+)))(?P<path>/.+)?$"
)


def resolve(tracker: Tracker, uri: str, *, cache: Path) -> Path:
    """The file or folder that a reference stands for, on this machine.

    cache: folder to keep it in. What a model's version holds stays what it is and is fetched once; a run may have got
    new files, and is asked every time. Raises TrackingError.
    """
    from mlflow.artifacts import download_artifacts

    is_model = uri.startswith("models:/")
    with reporting(f"fetch {uri}", tracker.uri):
        stored = _location(tracker, uri) if is_model else uri
        kept = cache / digest_of([tracker.uri, stored])[:32]
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{kept}.lock"):
            if not is_model:
                shutil.rmtree(kept, ignore_errors=True)
            if not kept.exists():
                with TemporaryDirectory(dir=cache) as temporary:
                    folder = Path(temporary, "fetched")
                    download_artifacts(stored, dst_path=str(folder), tracking_uri=tracker.uri)
                    folder.rename(kept)
    # MLflow puts what a location names into the folder, without its parents.
    return kept / stored.rpartition("/")[2]


def _location(tracker: Tracker, uri: str) -> str:
    """Where the artifacts lie. mlflow 3.17 itself finds no path inside a model that is named by its id."""
    match = _MODEL.match(uri)
    if match is None:
        raise TrackingError(
            f"{uri}: expected models:/NAME@ALIAS, models:/NAME/VERSION or models:/MODEL_ID, and a path inside it"
        )
    client, name, version = tracker.client, match["name"], match["version"]
    if match["alias"]:
        version = client.get_model_version_by_alias(name, match["alias"]).version
    if match["id"]:
        location = client.get_logged_model(match["id"]).artifact_location
    else:
        location = client.get_model_version_download_uri(name, version)
    return f"{location.rstrip('/')}{match['path'] or ''}"
