"""What a model is, by the content of its files. It is checked wherever a model is promoted, served or asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlbaseline.assets import sha256_of
from mlbaseline.records import digest_of

SERVED, WEIGHTS = "served", "weights"
"""Folder inside a packaged model's artifacts, and inside that the folder of its weights."""
ADDED_BY_MLFLOW = ("registered_model_meta",)
"""Files that MLflow (3.17) writes into a model when it downloads it: into the stored folder, where that is local."""
_COMPILED = "__pycache__/served_code."


@dataclass(frozen=True)
class ModelDigests:
    """What a model's files must be, by the run that evaluated it.

    model_sha256: over all files; None for runs of before it was recorded. weights_sha256: over the weights alone; None
    for a model without weights of its own.
    """

    model_sha256: str | None = None
    weights_sha256: str | None = None

    def difference(self, folder: Path) -> str | None:
        """Compute the digests of a stored model, and say in which it is another one; None where it is the same.

        Args:
            folder: The whole model, as it was logged.
        """
        found = {}
        if self.weights_sha256 is not None:
            weights = folder / "artifacts" / SERVED / WEIGHTS
            found["weights"] = self.weights_sha256, weights_sha256(weights, remembered=False)
        if self.model_sha256 is not None:
            found["files"] = self.model_sha256, model_sha256(folder)
        for what, (expected, sha256) in found.items():
            if sha256 != expected:
                return f"its {what} have the digest {sha256[:16]}…, expected {expected[:16]}…"
        return None


NO_DIGESTS = ModelDigests()


def file_digests(folders: Mapping[str, Path], *, remembered: bool = True) -> dict[str, str]:
    """Compute the SHA-256 of each file of a model.

    Args:
        folders: Path inside the model ─▶ local folder that lies there ("" is the top).
        remembered: As in `sha256_of`.

    Returns:
        Path inside the model, with slashes ─▶ 64 hexadecimal digits.

    Example:
        >>> Path("model").mkdir()
        >>> _ = Path("model", "config.json").write_text("{}")
        >>> {path: sha256[:8] for path, sha256 in file_digests({"": Path("model")}).items()}
        {'config.json': '44136fa3'}
    """
    files = {
        f"{prefix}/{file.relative_to(folder).as_posix()}".removeprefix("/"): file
        for prefix, folder in folders.items()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    # MLflow, when it serves a packaged model, leaves compiled code beside it. Nobody here runs that code. Of a model of
    # another tool, whose code is run, every file counts.
    is_packaged = any(path.startswith(f"artifacts/{SERVED}/") for path in files)
    return {
        path: sha256_of(file, remembered=remembered)
        for path, file in files.items()
        if path not in ADDED_BY_MLFLOW and not (is_packaged and path.startswith(_COMPILED))
    }


def model_sha256(folder: Path) -> str:
    """Compute the digest of a whole model, over the names and contents of its files. The files are read, not trusted.

    Args:
        folder: The model as it is stored, or fetched.
    """
    return digest_of(file_digests({"": folder}, remembered=False))


def weights_sha256(folder: Path, *, remembered: bool = True) -> str:
    """Compute the digest over names and contents of the safetensors files in a folder: it names a checkpoint.

    Args:
        folder: Holds the files; without any, the digest is that of nothing.
        remembered: As in `sha256_of`.
    """
    return digest_of(
        {file.name: sha256_of(file, remembered=remembered) for file in sorted(folder.glob("*.safetensors"))}
    )
