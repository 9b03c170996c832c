"""GGUF files, converted once to a folder that transformers loads."""

from __future__ import annotations

from contextlib import nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path

from mlbaseline.assets import sha256_of
from mlbaseline.cache import cache_dir, folder_in_one_step
from mlbaseline.models.checkpoints.loading import load_pretrained, quiet_transformers
from mlbaseline.progress import has_terminal_to_itself, progress_bar

CONVERSION = "v1"
"""Part of the cache key of converted files: raise it when the conversion changes what it writes."""


def converted(gguf: Path) -> Path:
    """Return the converted copy of a GGUF file in the cache; it is converted once per content."""
    target = cache_dir() / "converted" / f"{sha256_of(gguf)}-{CONVERSION}"
    if target.is_dir():
        return target
    with folder_in_one_step(target) as folder:
        _convert(gguf, folder)
    return target


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    where = {"gguf_file": gguf.name}
    shows_bars = has_terminal_to_itself()
    # transformers 5.23 shows the bar of this conversion even where its bars are switched off.
    silenced = nullcontext() if shows_bars else redirect_stderr(StringIO())
    converting = progress_bar(None, "second", f"Converting {gguf.name}", is_brief=True)
    with converting, quiet_transformers(progress=shows_bars), silenced:
        model = load_pretrained(gguf.parent, "AutoModelForCausalLM", dtype=torch.float32, use_safetensors=None, **where)
        tokenizer = load_pretrained(gguf.parent, "AutoTokenizer", **where)
        # transformers 5.23 refuses to save what it read from a GGUF file, whose configuration it keeps calling
        # quantised, although the weights are plain by now: save a model built anew from them.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
        plain.load_state_dict(model.state_dict())
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
