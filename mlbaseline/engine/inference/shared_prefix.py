"""What many inputs begin with, computed once: a shared prefix of tokens, or the virtual tokens of a soft prompt.

Models whose layers attend to everything before them can continue behind its keys and values (`supports_packing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from mlbaseline.engine.inference.tokenization import Tokens


@dataclass(frozen=True)
class SharedPrefix:
    """Keys and values that stand before many inputs.

    Attributes:
        tokens: those that the inputs begin with. Virtual tokens, which may stand before them, have no ids.
        layers: keys and values of each layer, each (1, heads, positions, head size).
    """

    tokens: Tokens
    layers: tuple[tuple[Tensor, Tensor], ...]

    def __len__(self) -> int:
        """Return its positions, those of virtual tokens included."""
        return int(self.layers[0][0].shape[-2])

    @property
    def n_virtual_tokens(self) -> int:
        """Positions of virtual tokens."""
        return len(self) - len(self.tokens)


def supports_packing(model: Any) -> bool:
    """Return whether inputs of a model can be packed into one sequence, branch, and continue behind a shared prefix.

    They can where every layer attends to everything before it, through transformers' attention interface, and takes
    its positions from outside. They cannot with sliding windows, recurrent layers, capped attention, or positions that
    the model counts itself (ALiBi).
    """
    config = model.config.get_text_config()
    return (
        all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)
        and bool(getattr(model, "_supports_attention_backend", False))
        and not getattr(config, "alibi", False)
        and not getattr(config, "attn_logit_softcapping", None)
        and "position_ids" in signature(model.forward).parameters
    )


def input_device(model: Any) -> torch.device:
    """Return the device that inputs of a model are made on.

    Where its parts lie on several devices, accelerate moves inputs to the device of each part. A part that lies on
    disk, or in memory beside a GPU, has its weights on torch's `meta` device, which computes nothing.
    """
    devices = (parameter.device for parameter in model.parameters())
    return next((device for device in devices if device.type != "meta"), torch.device("cpu"))


def cache_arguments(model: Any, cache: DynamicCache) -> dict[str, Any]:
    """Return the arguments with which a model continues behind a cache and adds to it; transformers 5.24 renamed one.

    Args:
        model: takes the arguments.
        cache: keys and values.
    """
    name = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
    return {name: cache, "use_cache": True}


def unwrap_adapter(model: Any) -> tuple[Any, SharedPrefix | None]:
    """Return the model inside an adapted one that computes the same, and the soft prompt that stands before its inputs.

    The virtual tokens of prompt and prefix tuning never change: computed once, they are a shared prefix without token
    ids. A method that works inside the layers needs no wrapper. Where neither holds, and where the inner model does
    not support a shared prefix, the adapted model itself is returned.
    """
    if not hasattr(model, "get_base_model"):
        return model, None
    from peft.tuners.tuners_utils import BaseTuner

    inner = model.get_base_model()
    if not model.active_peft_config.is_prompt_learning:
        return (inner if type(model.base_model).forward is BaseTuner.forward else model), None
    if not supports_packing(inner):
        return model, None
    with torch.inference_mode():
        cache = model.get_prompt(batch_size=1)
        if isinstance(cache, Tensor):
            embeddings, cache = cache.to(inner.dtype), DynamicCache(config=inner.config)
            with logits_at(inner, torch.tensor([0]), torch.tensor([0])):
                inner(inputs_embeds=embeddings, **cache_arguments(inner, cache))
    return inner, SharedPrefix((), tuple((layer.keys, layer.values) for layer in cache.layers))


def compute_prefix(model: Any, tokens: Tokens, soft_prompt: SharedPrefix | None = None) -> SharedPrefix:
    """Compute the keys and values of `tokens` (the prefill), behind the soft prompt if there is one."""
    cache = DynamicCache(config=model.config)
    with torch.inference_mode(), logits_at(model, torch.tensor([0]), torch.tensor([0])):
        for index, (keys, values) in enumerate(soft_prompt.layers if soft_prompt else ()):
            cache.update(keys, values, index)
        model(input_ids=torch.tensor([tokens], device=input_device(model)), **cache_arguments(model, cache))
    return SharedPrefix(tokens, tuple((layer.keys, layer.values) for layer in cache.layers))


@contextmanager
def logits_at(model: Any, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """Within the block, let `model(...)` compute logits (1, n, vocabulary) of n positions only.

    The model's own forward stays in charge, with everything that it does to its logits. Only the input of the output
    matrix, often a quarter of a small model's work, is reduced.

    Args:
        model: causal language model.
        rows: (n,), of the batch.
        columns: (n,), positions in the rows. They may count from the end (-1 is the last), which stays right where an
            adapter adds virtual tokens in front.
    """

    def select(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = inputs[0]
        return (hidden[rows.to(hidden.device), columns.to(hidden.device)].unsqueeze(0), *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()
