"""The cache of trainings: one folder for each, named by the digest of all that decides the weights.

trained.json          when it is finished
epoch-N/              the weights of the epoch that was chosen; weights/ where a program trained

What else is there belongs to an attempt that was stopped.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from mlbaseline.cache import cache_dir, write_in_one_step
from mlbaseline.errors import AssetError
from mlbaseline.model_files import weights_sha256
from mlbaseline.records import Trained

_TRAINED = "trained.json"


def find_trained(key: str) -> Trained | None:
    """Find a finished training in the cache.

    Args:
        key: Digest of all that decides the weights.

    Returns:
        None where there is none, or its weights were changed.
    """
    return _load(_folder(key))


def train_once(key: str, train: Callable[[Path], Trained]) -> Trained:
    """Return the finished training from the cache; else train, one process at a time.

    Args:
        key: Digest of all that decides the weights.
        train: Folder of the training, in which an earlier attempt may have left its state ─▶ what was trained, its
            weights in a folder inside.

    Raises:
        AssetError: The cache cannot be written.
    """
    folder = _folder(key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # a second process waits, and then finds it finished
            finished = _load(folder)
            if finished is None:
                finished = train(folder)
                _save(folder, finished)
    except (OSError, SafetensorError) as error:
        raise AssetError(
            f"{folder}: the training cannot be saved ({error}); free some space, or name another folder in "
            "MLBASELINE_CACHE"
        ) from error
    return finished


@dataclass(frozen=True)
class PackedTraining:
    """A finished training on its way to the cache of another machine.

    Attributes:
        key: Digest of all that decides the weights.
        archive: Its files, as an uncompressed tar file.
    """

    key: str
    archive: bytes

    @classmethod
    def of(cls, key: str, trained: Trained) -> PackedTraining:
        """Pack a training that is in the cache of this machine. The files are held in memory."""
        content, folder = BytesIO(), _folder(key)
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.add(folder / _TRAINED, _TRAINED)
            archive.add(trained.folder, trained.folder.name)
        return cls(key, content.getvalue())

    def unpack(self) -> None:
        """Put it into the cache of this machine, unless it is there.

        Raises:
            AssetError: The cache cannot be written.
        """

        def extract(folder: Path) -> Trained:
            with tarfile.open(fileobj=BytesIO(self.archive)) as archive:
                archive.extractall(folder, filter="data")
            finished = _load(folder)
            if finished is None:
                raise AssetError(f"{folder}: the training that another machine sent is damaged")
            return finished

        train_once(self.key, extract)


def epoch_folder(folder: Path, epoch: int) -> Path:
    """Return the folder of an epoch's weights, inside that of its training."""
    return folder / f"epoch-{epoch}"


def _folder(key: str) -> Path:
    return cache_dir() / "trained" / key


def _load(folder: Path) -> Trained | None:
    try:
        facts: dict[str, Any] = json.loads((folder / _TRAINED).read_text(encoding="utf-8"))
        epoch = facts["selected_epoch"]
        weights = folder / "weights" if epoch is None else epoch_folder(folder, epoch)
        trained = Trained(folder=weights, **{**facts, "losses": tuple(facts["losses"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return trained if weights_sha256(weights) == trained.weights_sha256 else None


def _save(folder: Path, trained: Trained) -> None:
    """Mark the training as finished, and delete what only an attempt needs."""
    facts = asdict(trained)
    del facts["folder"]
    write_in_one_step(folder / _TRAINED, json.dumps(facts))
    for leftover in folder.iterdir():
        if leftover.is_dir() and leftover != trained.folder:
            shutil.rmtree(leftover)
        elif leftover.is_file() and leftover.name != _TRAINED and leftover.suffix != ".log":
            leftover.unlink()
