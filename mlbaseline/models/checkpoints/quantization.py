"""Weights in 8 or 4 bits: bitsandbytes stores them, and every product is computed with the values they stand for.

int8 rounds each row of a linear layer's weights to its own scale, int4 each block of 64 of them to NF4. The input of a
layer is never rounded, see `compute_exactly`. Embeddings, the output layer and norms stay as they are.
"""

from __future__ import annotations

import ctypes
import json
from contextlib import suppress
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import AssetError, MlbaselineError

if TYPE_CHECKING:
    import torch

QUANTISED = ("int8", "int4")
PACKAGE = "bitsandbytes"


def packages_of(precision: object) -> tuple[str, ...]:
    """Return the packages that this precision needs beside those that all need."""
    return (PACKAGE,) if precision in QUANTISED else ()


def require_package(precision: str) -> None:
    """Raise MlbaselineError where the package that a quantised precision needs cannot be imported."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MlbaselineError(
            f"precision {precision} (`evaluation.precision` of the suite, or of a promoted model's suite) "
            f"needs {PACKAGE}, which cannot be imported ({error}): pip install 'mlbaseline[quantized]'"
        ) from error


def refuse_quantised(folder: Path) -> None:
    """Raise AssetError for a model that is quantised already: its own configuration decides how it computes."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        method = content["quantization_config"].get("quant_method", "an unnamed method")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # loading reports any other fault
    raise AssetError(
        f"{folder} is already quantised ({method}): name the model that it was made from, and let "
        "`evaluation: {precision: int8}` or int4 quantise that; or serve it, and name it as an endpoint "
        "(`kind: production`)"
    )


def loading_options(precision: str, compute: torch.dtype, device: str) -> dict[str, Any]:
    """Return the options of `from_pretrained`, beside the dtype of everything that is not quantised.

    Args:
        precision: int8 or int4.
        compute: dtype that 4-bit products are computed in.
        device: of the model.
    """
    from transformers import BitsAndBytesConfig

    quantising = (
        BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)
        if precision == "int8"
        else BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
    )
    return {"quantization_config": quantising, "device_map": {"": device}}


def compute_exactly(model: Any) -> Any:
    """Let the quantised layers of a model multiply their input, unrounded, with the values of their weights.

    LLM.int8(), the default of bitsandbytes, rounds the input, too. With its threshold, columns of the whole batch are
    exempt, so that an example's score depends on its neighbours; without it, inputs that differ in the last bit may be
    rounded differently (SmolLM2-135M: logits of a text changed by 1.5 with its neighbours, here by 3e-5).

    Raises:
        MlbaselineError: bitsandbytes would read int4 weights back wrongly on this processor.
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    for name, layer in model.named_modules():
        if isinstance(layer, Linear8bitLt):
            layer.init_8bit_state()
            layer.forward = partial(_multiply, layer)
        elif isinstance(layer, Linear4bit):
            _require_right_scales(name, layer)
            # Otherwise bitsandbytes 0.50 repacks the weights in the first pass, on processors with bf16 in AVX-512, to
            # a form through which no gradient flows.
            layer.support_avx512bf16_for_cpu = False
    return model


def _require_right_scales(name: str, layer: Any) -> None:
    """Raise MlbaselineError if bitsandbytes reads the layer's 4-bit weights back with the scales of other blocks."""
    block, inputs = layer.weight.quant_state.blocksize, layer.in_features
    if layer.weight.device.type == "cpu" and inputs % block and _misplaces_scales():
        raise MlbaselineError(
            f"precision int4: {name} has {inputs} inputs. On this processor {PACKAGE} {metadata.version(PACKAGE)} "
            f"computes a 4-bit layer correctly only if its inputs are a multiple of {block}. Choose int8 or another "
            "precision"
        )


@cache
def _misplaces_scales() -> bool:
    """Check whether the CPU kernel of bitsandbytes assumes that each row of 4-bit weights begins with a new block.

    bitsandbytes 0.50 assumes so on processors with AVX-512, although it quantises blocks of the flattened weights.
    """
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    # One power of two a block of 64, which NF4 holds exactly; a row is one and a half blocks.
    weights = torch.tensor([1.0, 2.0, 4.0]).repeat_interleave(64).view(2, 96)
    return not dequantize_4bit(*quantize_4bit(weights, quant_type="nf4")).equal(weights)


def release_file(model: Any) -> Any:
    """Release the file of a model's weights.

    safetensors maps it, and a weight that was not quantised would keep all of it in memory. On a GPU none does.
    """
    with suppress(OSError, AttributeError):  # only glibc keeps freed memory, up to the size of the model
        ctypes.CDLL(None).malloc_trim(0)
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and parameter.is_floating_point():
            parameter.data = parameter.data.clone()
    return model


def _multiply(layer: Any, inputs: torch.Tensor) -> Any:
    """Replace `Linear8bitLt.forward`. The gradient is that of bitsandbytes, which keeps no copy of the weights."""
    from bitsandbytes.autograd._functions import MatMul8bitFp

    return MatMul8bitFp.apply(inputs, layer.weight, None, layer.bias, layer.state)


def prepare_quantised_adapter(adapted: Any) -> None:
    """Make the layers of an adapter compute correctly on a quantised base.

    Raises:
        MlbaselineError: the method may take the stored numbers of a quantised layer for its weights.
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from peft.tuners.ia3 import IA3Layer, Linear

    _require_quantization_support(adapted)
    for layer in adapted.modules():
        if isinstance(layer, IA3Layer) and isinstance(layer.get_base_layer(), Linear4bit | Linear8bitLt):
            # peft 0.21: IA3's layers for quantised weights return fp32 to a model that computes in bf16 or fp16, whose
            # attention then refuses the keys. Those for plain weights need no more of the base than its output.
            layer.forward = partial(Linear.forward, layer)


def _require_quantization_support(adapted: Any) -> None:
    """Raise MlbaselineError where a PEFT method may take the stored numbers of a quantised layer for its weights."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in adapted.named_modules():
        is_unaware = isinstance(layer, BaseTunerLayer) and not type(layer).__module__.endswith(".bnb")
        if is_unaware and isinstance(layer.get_base_layer(), Linear4bit | Linear8bitLt):
            kind = f"{type(layer).__module__}.{type(layer).__name__}"
            raise MlbaselineError(
                f"precision int8 or int4: {kind} (at {name}) is not made for quantised weights; LoRA, IA3, prompt and "
                "prefix tuning are. This method needs another precision"
            )
