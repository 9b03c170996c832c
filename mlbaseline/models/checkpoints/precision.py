"""The precision of weights and of products, and what the hardware computes natively."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.quantization import QUANTISED, require_package
from mlbaseline.records import Scalar

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16", "int8", "int4"]
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
NATIVE_BF16 = "MLBASELINE_NATIVE_BF16"
"""Environment variable: 1 or 0 makes `auto` bf16 or fp32 on any hardware. torch computes bf16 everywhere, if slowly."""


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
