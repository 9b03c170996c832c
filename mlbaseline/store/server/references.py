"""`runs:/`, `models:/` and `datasets:/` references ─▶ a local path, and where a person finds an artifact."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from mlbaseline.cache import cache_dir
from mlbaseline.errors import TrackingError
from mlbaseline.records import digest_of
from mlbaseline.store.server.artifacts import check_location
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.evaluation_datasets import SCHEME as DATASETS
from mlbaseline.store.server.evaluation_datasets import fetch_dataset
from mlbaseline.store.server.patience import asking_again
from mlbaseline.store.server.reporting import reporting

_MODEL = re.compile(
    r"^models:/((?P<id>m-[0-9a-f]+)|(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+)))(?P<path>/.+)?$"
)


def resolve(server: Server, uri: str) -> Path:
    """Fetch the file or folder that a reference stands for, and keep it in the cache of this machine.

    What a model's version holds stays what it is and is fetched once; a run may have got new files, and a dataset new
    records: they are asked every time. Raises TrackingError.
    """
    if uri.startswith(DATASETS):
        return fetch_dataset(server, uri)
    from mlflow.artifacts import download_artifacts

    is_model = uri.startswith("models:/")
    with reporting(f"fetch {uri}", server.uri):
        stored = _location(server, uri) if is_model else uri
        kept = cache_dir() / "references" / digest_of([server.uri, stored])[:32]
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{kept}.lock"):
            if not is_model:
                shutil.rmtree(kept, ignore_errors=True)
            if not kept.exists():
                with TemporaryDirectory(dir=kept.parent) as temporary:
                    folder = Path(temporary, "fetched")
                    check_location(server, _stored_at(server, stored))
                    asking_again(download_artifacts)(stored, dst_path=str(folder), tracking_uri=server.uri)
                    folder.rename(kept)
    # MLflow puts what a location names into the folder, without its parents.
    return kept / stored.rpartition("/")[2]


@contextmanager
def stored_model(server: Server, uri: str) -> Iterator[Path]:
    """Give the files of a `models:/` reference as they are stored now, whatever this machine's cache has of them.

    Where they lie on this machine, that is where they lie; else they are fetched for the length of the block. Raises
    TrackingError.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    with TemporaryDirectory() as temporary:
        with reporting(f"fetch {uri}", server.uri):
            location = check_location(server, _stored_at(server, _location(server, uri)))
            if is_local_uri(location, is_tracking_or_registry_uri=False):
                folder = Path(local_file_uri_to_path(location))
            else:
                folder = Path(asking_again(download_artifacts)(location, dst_path=temporary, tracking_uri=server.uri))
        yield folder


def _stored_at(server: Server, stored: str) -> str:
    """Find the location of the artifacts that a `runs:/` reference or an address stands for."""
    if stored.startswith("runs:/"):
        return str(server.client.get_run(stored.removeprefix("runs:/").partition("/")[0]).info.artifact_uri)
    if stored.startswith("models:/"):
        return str(server.client.get_logged_model(stored.removeprefix("models:/").partition("/")[0]).artifact_location)
    return stored


def artifact_path(server: Server, run_id: str, path: str) -> str:
    """Say where a person finds an artifact of a run: a file on this machine, else the address of its page.

    Raises TrackingError.
    """
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    with reporting(f"read the run {run_id}", server.uri):
        info = server.client.get_run(run_id).info
    if is_local_uri(info.artifact_uri, is_tracking_or_registry_uri=False):
        return str(Path(local_file_uri_to_path(info.artifact_uri), path))
    page = f"/#/experiments/{info.experiment_id}/runs/{run_id}/artifacts/{path}"
    return server.uri.rstrip("/") + page if server.uri.startswith("http") else f"{info.artifact_uri}/{path}"


def parse_model(uri: str) -> re.Match[str]:
    """Parse a `models:/` reference: `id`, or `name` with `alias` or `version`, and `path`. Raises TrackingError."""
    match = _MODEL.match(uri)
    if match is None:
        raise TrackingError(
            f"{uri}: expected models:/NAME@ALIAS, models:/NAME/VERSION or models:/MODEL_ID, and a path inside it"
        )
    return match


def _location(server: Server, uri: str) -> str:
    """Where the artifacts lie. mlflow 3.17 itself finds no path inside a model that is named by its id."""
    match = parse_model(uri)
    client, name, version = server.client, match["name"], match["version"]
    if match["alias"]:
        version = client.get_model_version_by_alias(name, match["alias"]).version
    if match["id"]:
        location = client.get_logged_model(match["id"]).artifact_location
    else:
        location = client.get_model_version_download_uri(name, version)
    return f"{location.rstrip('/')}{match['path'] or ''}"
