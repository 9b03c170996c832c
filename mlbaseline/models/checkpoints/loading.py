"""Parts of a checkpoint, loaded by transformers: never from a pickle, never with code of the checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlbaseline.errors import AssetError


def refuse_pickles(folder: Path) -> None:
    """Raise AssetError for a folder whose only weights are pickles."""
    pickled = sorted(file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    if pickled and not any(folder.glob("*.safetensors")):
        raise AssetError(
            f"{folder}: its weights are pickled ({', '.join(pickled[:3])}), which could run code and is never read; "
            "save them as safetensors"
        )


def load_pretrained(folder: Path, kind: str, **options: Any) -> Any:
    """Load a part of a checkpoint by transformers, never from a pickle and never with code of the checkpoint.

    Args:
        folder: with the files.
        kind: `AutoModelForCausalLM` or `AutoTokenizer`.
        options: of `from_pretrained`.

    Raises:
        AssetError: it cannot be loaded.
    """
    import transformers

    if kind == "AutoModelForCausalLM":
        options.setdefault("use_safetensors", True)
        if options["use_safetensors"]:
            refuse_pickles(folder)
    try:
        return getattr(transformers, kind).from_pretrained(
            str(folder), trust_remote_code=False, local_files_only=True, **options
        )
    # What a broken file raises depends on the library that fails to read it.
    except Exception as error:
        what = "model" if kind == "AutoModelForCausalLM" else "tokenizer"
        where = folder / options["gguf_file"] if "gguf_file" in options else folder
        raise AssetError(f"{where}: the {what} cannot be loaded ({type(error).__name__}: {error})") from error


@contextmanager
def quiet_transformers(*, progress: bool = False) -> Iterator[None]:
    """Within the block, silence transformers and peft except for errors. progress: show their bars, for long work."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not progress:
        logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5.23 for renamed attributes
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
