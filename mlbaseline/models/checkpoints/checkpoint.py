"""Transformers checkpoints on disk ─▶ a model and its tokenizer in memory: a folder, a GGUF file, or an adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import AssetError
from mlbaseline.models.checkpoints.adapter_files import attach, is_adapter, merged, named_base
from mlbaseline.models.checkpoints.gguf import converted
from mlbaseline.models.checkpoints.loading import load_pretrained, quiet_transformers
from mlbaseline.models.checkpoints.precision import Precision, computed_in, default_device, dtype_of, resolve_precision
from mlbaseline.models.checkpoints.quantization import (
    QUANTISED,
    compute_exactly,
    loading_options,
    prepare_quantised_adapter,
    refuse_quantised,
    release_file,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Checkpoint:
    """A causal language model in memory.

    Attributes:
        model: of transformers, or of peft around it.
        tokenizer: of the model.
        precision: of its weights.
        device: as torch names it.
    """

    model: Any
    tokenizer: Any
    precision: Precision
    device: str

    @property
    def max_positions(self) -> int | None:
        """Longest input (tokens) that the model was built for; None where its configuration sets no limit.

        Virtual tokens in front of every input take positions, too.
        """
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        adapter = self.model.active_peft_config if hasattr(self.model, "get_base_model") else None
        return limit if limit is None else limit - getattr(adapter, "num_virtual_tokens", 0)


def load_checkpoint(
    path: Path,
    *,
    base: Path | None = None,
    precision: str = "auto",
    compute: str | None = None,
    device: str | None = None,
    merge: bool = True,
) -> Checkpoint:
    """Load a model. Code that comes with a model is never run, and pickled weights are never read.

    An adapter is merged into its base in fp32 before the precision is lowered, so that it costs nothing per query. It
    stays separate where the method cannot be merged, where the base is quantised (merging would round the adapter away,
    and it was trained on the quantised base), or with `merge` false.

    Args:
        path: a folder, a GGUF file, or the folder of a PEFT adapter.
        base: the model that an adapter belongs to.
        precision: of the weights, see `resolve_precision`.
        compute: precision of products with quantised weights; None: see `computed_in`.
        device: as torch names it; None: see `default_device`.
        merge: whether an adapter is merged.

    Raises:
        AssetError: `path` is no such model.
        MlbaselineError: a package is missing.
    """
    device = device or default_device()
    resolved = resolve_precision(precision, device)
    dtype = dtype_of(compute or computed_in(resolved, device))
    if not is_adapter(path):
        folder = model_folder(path)
    elif base is not None:
        folder = model_folder(base)
    else:
        named = named_base(path)
        raise AssetError(f"{path} is an adapter, not a whole model: give the base that it belongs to ({named!r})")
    with quiet_transformers():
        tokenizer = load_pretrained(folder, "AutoTokenizer")
        if resolved in QUANTISED:
            options = loading_options(resolved, dtype, device)
            model = compute_exactly(
                release_file(load_pretrained(folder, "AutoModelForCausalLM", dtype=dtype, **options))
            )
            if is_adapter(path):
                model = attach(model, path)
                prepare_quantised_adapter(model)
        elif is_adapter(path):
            model = _load_adapted(folder, path, dtype, merge=merge).to(device)
        else:
            model = load_pretrained(folder, "AutoModelForCausalLM", dtype=dtype).to(device)
    return Checkpoint(model.eval(), tokenizer, resolved, device)


def model_folder(path: Path) -> Path:
    """Return the folder that transformers can load: `path` itself, or the converted copy of a GGUF file in the cache.

    The conversion happens once per content (tens of seconds for a small model) and is safe when two processes start
    it at the same time.

    Raises:
        AssetError: `path` is neither, or is quantised.
    """
    if path.is_file():
        if path.read_bytes()[:4] != b"GGUF":
            raise AssetError(f"{path} is no model: expected a folder with config.json and safetensors, or a GGUF file")
        return converted(path)
    if not (path / "config.json").is_file():
        if is_adapter(path):
            raise AssetError(f"{path} is an adapter, not a whole model: say `kind: peft` with `adapter` and `base`")
        files = ", ".join(sorted(item.name for item in path.iterdir())[:8]) if path.is_dir() else "no such folder"
        raise AssetError(f"{path} is no model: expected a folder with config.json and safetensors, got: {files or '∅'}")
    refuse_quantised(path)
    return path


def _load_adapted(folder: Path, adapter: Path, dtype: torch.dtype, *, merge: bool) -> Any:
    import torch

    model = None
    if merge:
        model = merged(attach(load_pretrained(folder, "AutoModelForCausalLM", dtype=torch.float32), adapter))
    if model is None:
        model = attach(load_pretrained(folder, "AutoModelForCausalLM", dtype=dtype), adapter)
    for parameter in model.parameters():
        # Not `model.to(dtype)`: it would round the frequencies of rotary positions, too, which are no weights.
        parameter.data = parameter.data.to(dtype)
    return model
