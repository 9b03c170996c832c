"""Transformers checkpoints on disk ─▶ a model and its tokenizer in memory: a folder, a GGUF file, or an adapter."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlbaseline.assets import sha256_of
from mlbaseline.cache import cache_dir, folder_in_one_step
from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.models.adapter_files import attach, is_adapter, merged, named_base
from mlbaseline.models.quantization import (
    QUANTISED,
    compute_exactly,
    loading_options,
    prepare_quantised_adapter,
    refuse_quantised,
    release_file,
    require_package,
)
from mlbaseline.progress import has_terminal_to_itself, progress_bar
from mlbaseline.records import Scalar

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16", "int8", "int4"]
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
NATIVE_BF16 = "MLBASELINE_NATIVE_BF16"
"""Environment variable: 1 or 0 makes `auto` bf16 or fp32 on any hardware. torch computes bf16 everywhere, if slowly."""
CONVERSION = "v1"
"""Part of the cache key of converted files: raise it when the conversion changes what it writes."""


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


def default_device() -> str:
    """Return `cuda` where torch has such a device, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_precision(precision: str, device: str) -> Precision:
    """Resolve `auto`: bf16 where `device` computes it natively, fp32 elsewhere. Other names stand for themselves.

    Raises:
        MlbaselineError: a quantised precision lacks the package that it needs.

    >>> resolve_precision("fp32", "cpu")
    'fp32'
    """
    if precision == "auto":
        return "bf16" if _has_native_bf16(device) else "fp32"
    assert precision in _DTYPES or precision in QUANTISED, precision  # suite.Evaluation has checked it
    if precision in QUANTISED:
        require_package(precision)
    return precision  # type: ignore[return-value]


def computed_in(precision: Precision, device: str) -> Precision:
    """Return the precision of products: that of `auto` where weights are quantised, else that of the weights."""
    return resolve_precision("auto", device) if precision in QUANTISED else precision


def precision_fields(precision: str, compute: str | None) -> dict[str, Scalar]:
    """Return the `engine.*` fields of a signature: the precision, and that of products with quantised weights."""
    quantised: dict[str, Scalar] = {"engine.compute_precision": compute} if precision in QUANTISED else {}
    return {"engine.precision": precision, **quantised}


def dtype_of(precision: str) -> torch.dtype:
    """Return the torch dtype of a precision that is not a quantised one."""
    import torch

    dtype = getattr(torch, _DTYPES[precision])
    assert isinstance(dtype, torch.dtype)
    return dtype


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
        return _converted(path)
    if not (path / "config.json").is_file():
        if is_adapter(path):
            raise AssetError(f"{path} is an adapter, not a whole model: say `kind: peft` with `adapter` and `base`")
        files = ", ".join(sorted(item.name for item in path.iterdir())[:8]) if path.is_dir() else "no such folder"
        raise AssetError(f"{path} is no model: expected a folder with config.json and safetensors, got: {files or '∅'}")
    refuse_quantised(path)
    return path


def _converted(gguf: Path) -> Path:
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


def _has_native_bf16(device: str) -> bool:
    """Check whether `device` computes bf16 natively, or is declared to by the environment variable `NATIVE_BF16`."""
    import platform

    import torch

    if forced := os.environ.get(NATIVE_BF16):
        if forced not in ("0", "1"):
            raise MlbaselineError(f"{NATIVE_BF16}: expected 0 or 1, got {forced!r}. Leave it out to ask the hardware")
        return forced == "1"
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if platform.machine().lower() in ("x86_64", "amd64"):
        # torch.ops.mkldnn._is_mkldnn_bf16_supported() also says yes to AVX-512 that only emulates bf16.
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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
