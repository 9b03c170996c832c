"""`hf://ORG/NAME`: a model or a data file of a hub, fetched with huggingface_hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlbaseline.errors import AssetError
from mlbaseline.progress import has_terminal_to_itself, progress_bar

_HF = re.compile(
    r"^hf://(?P<datasets>datasets/)?(?P<repo>(?!datasets/)[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<file>[^/].*))?$"
)
# Weights, configuration and tokenizer: not the same weights in other formats, and never a pickle.
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja")


@dataclass(frozen=True, slots=True)
class HubReference:
    """What an `hf://` reference names. file: None for a snapshot of the whole repository."""

    repo_id: str
    repo_type: str
    revision: str | None
    file: str | None


def parse_hub_reference(source: str) -> HubReference:
    """Read `hf://ORG/NAME[@REVISION][/FILE]` or `hf://datasets/ORG/NAME[@REVISION]/FILE`.

    Raises AssetError for anything else.
    """
    match = _HF.match(source)
    if match is None or (match["datasets"] and not match["file"]):
        raise AssetError(
            f"{source}: expected `hf://ORG/NAME[@REVISION]` for a model, with `/FILE` for one file of it, or "
            "`hf://datasets/ORG/NAME[@REVISION]/FILE` for a data file"
        )
    return HubReference(match["repo"], "dataset" if match["datasets"] else "model", match["revision"], match["file"])


def fetch_from_hub(source: str) -> Path:
    """Fetch a file, or the model files of a snapshot. Raises AssetError."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    reference = parse_hub_reference(source)
    if not has_terminal_to_itself():
        disable_progress_bars()
    repo_id, repo_type, revision = reference.repo_id, reference.repo_type, reference.revision
    try:
        with progress_bar(None, "second", f"Fetching {source}", is_brief=True):
            if reference.file is not None:
                return Path(hf_hub_download(repo_id, reference.file, repo_type=repo_type, revision=revision))
            return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(MODEL_FILES)))
    except Exception as error:  # which ones depends on the hub client's version and its HTTP library
        raise AssetError(
            f"{source}: cannot be had from the hub: {type(error).__name__}: {error}\n"
            "Check name, revision, access (HF_TOKEN for a gated repository) and network (HF_ENDPOINT for a mirror), or "
            "download it yourself and give its path."
        ) from error
