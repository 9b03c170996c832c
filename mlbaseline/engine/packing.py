"""Rows of different lengths in one pass of a causal model without padding: attention alone is computed row by row.

All tokens of a batch stand one behind the other in a single sequence, so that whatever works on one token at a time
(nine tenths of a model and more) sees no padding. The attention, for the time of the pass, is ours: it takes the
sequence apart into its rows, puts the shared head before each, and lets every token see its own ancestors only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME = "mlbaseline_packed"


@dataclass(frozen=True)
class Head:
    """Keys and values of tokens that many rows begin with, computed once: per layer each (1, heads, tokens, size)."""

    tokens: tuple[int, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Layout:
    """Where the rows lie in the sequence.

    take: (rows, width) places in the sequence; any place stands for padding. give: (tokens,) places in the flattened
    rows. sees: (rows or 1, 1, width, head + width), or None where every row is a chain without a head.
    """

    take: Tensor
    give: Tensor
    sees: Tensor | None
    head: Head | None


def can_pack(model: Any) -> bool:
    """Whether rows can be packed, branch and follow a head: every layer attends to everything before it, through
    transformers' attention interface, and takes its positions from outside.

    Not with sliding windows, recurrent layers, capped attention, or positions that the model counts by itself (ALiBi).
    """
    config = model.config.get_text_config()
    return (
        all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)
        and bool(getattr(model, "_supports_attention_backend", False))
        and not getattr(config, "alibi", False)
        and not getattr(config, "attn_logit_softcapping", None)
        and "position_ids" in signature(model.forward).parameters
    )


def lay_out(parents: Sequence[Sequence[int]], head: Head | None, device: Any) -> Layout:
    """parents: per row and token the place in the row of the token before it, -1 for none but the head."""
    lengths = [len(row) for row in parents]
    width, before = max(lengths), len(head.tokens) if head else 0
    columns = torch.arange(width)
    starts = torch.tensor([0, *lengths]).cumsum(0)[:-1, None]
    inside = columns < torch.tensor(lengths)[:, None]
    branching = [any(parent != place - 1 for place, parent in enumerate(row)) for row in parents]
    sees = None
    if head or any(branching):
        sees = torch.ones(len(parents) if any(branching) else 1, 1, width, before + width, dtype=torch.bool).tril(
            before
        )
        for index in [index for index, is_tree in enumerate(branching) if is_tree]:
            _let_see_ancestors(sees[index, 0, :, before:], parents[index])
    return Layout(
        torch.where(inside, starts + columns, 0).to(device),
        inside.flatten().nonzero().flatten().to(device),
        None if sees is None else sees.to(device),
        head,
    )


def _let_see_ancestors(sees: Tensor, parents: Sequence[int]) -> None:
    """Narrow what causal attention would see: where a branch begins, all that lies beside its ancestors is hidden."""
    starts = [place for place, parent in enumerate(parents) if parent != place - 1]
    for start, end in zip(starts, [*starts[1:], len(parents)], strict=True):
        parent = parents[start]
        sees[start:end, :start] = sees[parent, :start] if parent >= 0 else False


@contextmanager
def packed(model: Any, layout: Layout) -> Iterator[None]:
    """Within the block, `model(...)` reads one sequence that is laid out so."""
    before = model.config._attn_implementation
    token = _LAYOUT.set(layout)
    try:
        model.set_attn_implementation(_NAME)
        yield
    finally:
        model.set_attn_implementation(before)
        _LAYOUT.reset(token)


_LAYOUT: ContextVar[Layout] = ContextVar("layout")


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, scaling: float | None = None, **__: Any
) -> tuple[Tensor, None]:
    """(1, heads, tokens, size) each ─▶ (1, tokens, heads, size)."""
    layout = _LAYOUT.get()
    n_rows, width = layout.take.shape
    sees = layout.sees

    def rows(states: Tensor) -> Tensor:
        taken = states[0].transpose(0, 1)[layout.take.flatten()]
        return taken.view(n_rows, width, *taken.shape[1:]).transpose(1, 2)

    queries, keys, values = rows(query), rows(key), rows(value)
    if layout.head:
        head_keys, head_values = layout.head.layers[module.layer_idx]
        keys = torch.cat([head_keys.expand(n_rows, -1, -1, -1), keys], dim=2)
        values = torch.cat([head_values.expand(n_rows, -1, -1, -1), values], dim=2)
    groups = queries.shape[1] // keys.shape[1]
    in_groups = groups > 1 and (sees is None or query.device.type == "cpu")
    if groups > 1 and not in_groups:  # on GPUs, torch's fast kernels take a mask or grouped heads, not both
        keys, values = keys.repeat_interleave(groups, dim=1), values.repeat_interleave(groups, dim=1)
    attended = scaled_dot_product_attention(
        queries, keys, values, sees, is_causal=sees is None, scale=scaling, enable_gqa=in_groups
    )
    return attended.transpose(1, 2).flatten(0, 1)[layout.give].unsqueeze(0), None


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
