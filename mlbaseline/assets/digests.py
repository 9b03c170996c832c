"""SHA-256 of files and folders, remembered for as long as they stay the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from mlbaseline.cache import cache_dir, sign
from mlbaseline.errors import AssetError
from mlbaseline.progress import progress_bar
from mlbaseline.records import digest_of
from mlbaseline.suite import Asset

_CHUNK_BYTES = 1 << 20
# Below this, hashing costs less than looking up what the hash was last time.
_REMEMBER_FROM_BYTES = 1 << 20
_hashed_here: dict[tuple[str, int, int, int], str] = {}
"""Digests that this process computed itself, by path, size and times."""


@dataclass(frozen=True, slots=True)
class FetchedAsset:
    """A file or folder on this machine.

    Attributes:
        path: Where it lies.
        sha256: Digest of its content (64 hexadecimal digits), see `sha256_of`.
    """

    path: Path
    sha256: str


def sha256_of(path: Path, only: Sequence[str] = ("*",), *, remembered: bool = True) -> str:
    """Compute the SHA-256 of a file, or of a folder over the relative names and digests of its files.

    The digest of a larger file is remembered for as long as its size and times stay the same, so that 100 MB of weights
    are not hashed at every start.

    Args:
        path: A file or a folder.
        only: Patterns for the relative names of a folder's files; a file counts if one of them matches.
        remembered: Whether a digest from an earlier process counts. One that is compared with a stated checksum must
            not: this process then reads the content once.

    Returns:
        64 hexadecimal digits.

    Raises:
        AssetError: There is no such file, or it cannot be read.
    """
    try:
        if path.is_dir():
            files = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
            counted = {name for name in files if any(fnmatchcase(name, pattern) for pattern in only)}
            return digest_of({name: _file_sha256(files[name], remembered) for name in counted})
        return _file_sha256(path, remembered)
    except OSError as error:
        raise AssetError(f"{path}: cannot be read: {error.strerror or error}") from error


def _file_sha256(path: Path, remembered: bool) -> str:
    stat = path.stat()
    if stat.st_size < _REMEMBER_FROM_BYTES:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    # The time of the last status change cannot be set back, so a file changed and then re-dated is noticed as well.
    state = (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if state in _hashed_here:
        return _hashed_here[state]
    note = cache_dir() / "digests" / f"{digest_of(state[0])[:32]}.json"
    if remembered:
        with suppress(OSError, ValueError, TypeError, KeyError):
            written = json.loads(note.read_text(encoding="utf-8"))
            if written["signature"] == sign(json.dumps([*state, written["sha256"]])):
                return str(written["sha256"])
    sha256 = hash_file(path)
    _hashed_here[state] = sha256
    with suppress(OSError):  # a cache that cannot be written costs time, not correctness
        content = {"path": state[0], "sha256": sha256, "signature": sign(json.dumps([*state, sha256]))}
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(note)
    return sha256


def hash_file(path: Path) -> str:
    """Read a file to its end, a piece at a time, and give its SHA-256; nothing is remembered. Raises OSError."""
    with path.open("rb") as file:
        return copy_and_hash(file, None, path.stat().st_size, f"Checking {path.name}")


def copy_and_hash(source: IO[bytes], target: IO[bytes] | None, size_bytes: int, label: str) -> str:
    """Read `source` to its end, write it to `target`, and give its SHA-256. Shows a bar where someone is watching."""
    digest = hashlib.sha256()
    with progress_bar(size_bytes, "B", label, is_brief=True) as bar:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            if target is not None:
                target.write(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def wrong_checksum(asset: Asset, path: Path | str, sha256: str) -> AssetError:
    """Make the error that says which checksum was expected, and what to do."""
    return AssetError(
        f"{asset.source}: wrong checksum\n"
        f"  file      {path}\n"
        f"  expected  {asset.sha256}\n"
        f"  got       {sha256}\n"
        "The file is not the one that the suite was written for. Restore the original, or, if the change is meant, "
        "put the new checksum into the suite."
    )
