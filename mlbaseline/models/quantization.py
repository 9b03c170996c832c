"""Weights in 8 or 4 bits: bitsandbytes keeps them so, and every product is computed with what they stand for.

int8 rounds each row of a linear layer's weights to its own scale, int4 each block of 64 of them to NF4. What a layer is
given is never rounded, see `compute_exactly`. Embeddings, the output layer and norms stay as they are.
"""

from __future__ import annotations

import ctypes
import json
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import AssetError, MlbaselineError

if TYPE_CHECKING:
    import torch

QUANTISED = ("int8", "int4")
PACKAGE = "bitsandbytes"


def packages_of(precision: object) -> tuple[str, ...]:
    """What answers in this precision stand on, beside what all do."""
    return (PACKAGE,) if precision in QUANTISED else ()


def require_package(precision: str) -> None:
    """Raises MlbaselineError where the package that a quantised precision needs cannot be imported."""
    # What bitsandbytes 0.50 says while it is imported and with every layer is of no use to whoever asked for it.
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MlbaselineError(
            f"precision {precision} (`evaluation.precision` of the suite, or of that which a model was promoted by) "
            f"needs {PACKAGE}, which cannot be imported ({error}): pip install 'mlbaseline[quantized]'"
        ) from error


def refuse_quantised(folder: Path) -> None:
    """Raises AssetError for a model that comes quantised: in what it computes, its own configuration decides."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        method = content["quantization_config"].get("quant_method", "a method that it does not name")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # what else may be wrong with it, loading will tell
    raise AssetError(
        f"{folder} is already quantised ({method}): name the model that it was made from, and let "
        "`evaluation: {precision: int8}` or int4 quantise that; or serve it, and name it as an endpoint "
        "(`kind: production`)"
    )


def loading_options(precision: str, compute: torch.dtype, device: str) -> dict[str, Any]:
    """What `from_pretrained` is told beside the dtype, which all that is not quantised is held in: `compute`."""
    from transformers import BitsAndBytesConfig

    quantising = (
        BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)
        if precision == "int8"
        else BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
    )
    return {"quantization_config": quantising, "device_map": {"": device}}


def compute_exactly(model: Any) -> Any:
    """The same model, whose quantised layers multiply what they are given, as it is, with what their weights stand for.

    LLM.int8(), which bitsandbytes would compute, rounds the input as well: with its threshold, columns of the whole
    batch are left out of that, so that an example's score depends on its neighbours; without it, what differs in the
    last bit is rounded apart (SmolLM2-135M: logits of one text moved by 1.5 with what stood beside it, here by 3e-5).
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    for layer in model.modules():
        if isinstance(layer, Linear8bitLt):
            layer.init_8bit_state()
            layer.forward = partial(_multiply, layer)
        elif isinstance(layer, Linear4bit):
            # Else bitsandbytes 0.50 repacks the weights at the first answer, on processors with bf16 in AVX-512, to a
            # form through which no gradient flows.
            layer.support_avx512bf16_for_cpu = False
    return model


def release_file(model: Any) -> Any:
    """The same model, without the file that it was read from: safetensors maps it, and a weight that lies in it still,
    because nothing had to be done to it, keeps in memory all that was quantised. On a GPU none does."""
    with suppress(OSError, AttributeError):  # glibc alone keeps what loading has freed, up to the size of the model
        ctypes.CDLL(None).malloc_trim(0)
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and parameter.is_floating_point():
            parameter.data = parameter.data.clone()
    return model


def _multiply(layer: Any, given: torch.Tensor) -> Any:
    """In place of `Linear8bitLt.forward`. The gradient is bitsandbytes' own, which keeps no copy of the weights."""
    from bitsandbytes.autograd._functions import MatMul8bitFp

    return MatMul8bitFp.apply(given, layer.weight, None, layer.bias, layer.state)


def refuse_blind(adapted: Any) -> None:
    """Raises MlbaselineError where a method may take the stored numbers of a quantised layer for its weights."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in adapted.named_modules():
        blind = isinstance(layer, BaseTunerLayer) and not type(layer).__module__.endswith(".bnb")
        if blind and isinstance(layer.get_base_layer(), Linear4bit | Linear8bitLt):
            kind = f"{type(layer).__module__}.{type(layer).__name__}"
            raise MlbaselineError(
                f"precision int8 or int4: {kind} (at {name}) is not made for quantised weights; LoRA, IA3, prompt and "
                "prefix tuning are. This method needs another precision"
            )
