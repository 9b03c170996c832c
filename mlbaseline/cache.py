"""The folder of files that may be deleted at any time, and the key that tells our entries from hand-written ones."""

from __future__ import annotations

import hmac
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

_PRIVATE = 0o700
_KEY_BYTES = 32


def cache_dir() -> Path:
    """Return the folder for fetched and computed files: `MLBASELINE_CACHE`, else the cache folder of the platform.

    Returns:
        An absolute path. `private_cache_dir` creates the folder.
    """
    named = os.environ.get("MLBASELINE_CACHE")
    return Path(named).expanduser().absolute() if named else user_cache_path("mlbaseline", appauthor=False)


def private_cache_dir() -> Path:
    """Create the cache folder if it is missing, readable by its owner alone, and return it.

    The permissions of a folder that exists already are not changed.

    Raises:
        OSError: The folder cannot be created.
    """
    folder = cache_dir()
    folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    return folder


@contextmanager
def folder_in_one_step(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``target`` at the end of the block; after an error nothing is left of it.

    Where another process has written ``target`` meanwhile, its copy stays.

    Args:
        target: A folder that does not exist.

    Raises:
        OSError: The folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".staging-"))
    try:
        yield staging
        try:
            staging.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_in_one_step(path: Path, content: str | bytes) -> None:
    """Write a file of which a reader finds the old content or the new one, whenever the process is killed.

    Args:
        path: In a folder that exists.
        content: Text is written as UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    part.replace(path)


def sign(content: str) -> str:
    """Compute a checksum that only those can compute who can read this cache's key (HMAC-SHA-256).

    Args:
        content: What is written to the cache.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: The cache cannot be written or read.

    Example:
        >>> sign("an entry") == sign("an entry") != sign("another")
        True
    """
    return hmac.new(_key(private_cache_dir()), content.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


@lru_cache(maxsize=8)
def _key(folder: Path) -> bytes:
    path = folder / "key"
    with FileLock(folder / "key.lock"):
        if path.is_file() and len(key := path.read_bytes()) == _KEY_BYTES:
            return key
        key = secrets.token_bytes(_KEY_BYTES)
        write_in_one_step(path, key)
        return key
