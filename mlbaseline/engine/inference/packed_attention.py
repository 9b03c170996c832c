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
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME = "mlbaseline_packed"
_ALIKE = 0.7
"""Rows at least this long, compared with the longest, are padded to it for attention."""


@dataclass(frozen=True)
class Head:
    """Keys and values that stand before many rows, computed once: per layer each (1, heads, places, size).

    tokens: what the rows begin with. Before them may lie what an adapter puts in front, which has no tokens.
    """

    tokens: tuple[int, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]

    def __len__(self) -> int:
        """Places that it takes, those without tokens included."""
        return int(self.layers[0][0].shape[-2])


@dataclass(frozen=True)
class Bucket:
    """Rows of similar length, which attention sees as one batch.

    take: (rows, width) places in the sequence; any place stands for padding. sees: (rows or 1, 1, width, head + width),
    or None where every row is a chain without a head.
    """

    take: Tensor
    sees: Tensor | None


@dataclass(frozen=True)
class Layout:
    """Where the rows lie in the sequence. give: (tokens,) places in the buckets' rows, all of them in one line."""

    buckets: tuple[Bucket, ...]
    give: Tensor
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


def reading_behind(model: Any, cache: DynamicCache) -> dict[str, Any]:
    """The arguments by which a model reads behind what a cache holds, and adds to it: transformers 5.24 renamed one."""
    name = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
    return {name: cache, "use_cache": True}


def lay_out(parents: Sequence[Sequence[int]], head: Head | None, device: Any) -> Layout:
    """parents: per row and token the place in the row of the token before it, -1 for none but the head."""
    starts = list(accumulate(map(len, parents), initial=0))
    give = torch.empty(starts[-1], dtype=torch.long)
    buckets = []
    n_places = 0
    for members in _alike([len(row) for row in parents]):
        rows = [parents[index] for index in members]
        lengths, columns = torch.tensor([len(row) for row in rows])[:, None], torch.arange(len(rows[0]))
        inside = columns < lengths
        take = torch.where(inside, torch.tensor([starts[index] for index in members])[:, None] + columns, 0)
        give[take[inside]] = n_places + inside.flatten().nonzero().flatten()
        n_places += take.numel()
        sees = _visible(rows, len(head) if head else 0)
        buckets.append(Bucket(take.to(device), None if sees is None else sees.to(device)))
    return Layout(tuple(buckets), give.to(device), head)


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Positions of `lengths`, in groups of similar ones, the longest of each first."""
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if not groups or lengths[position] < _ALIKE * lengths[groups[-1][0]]:
            groups.append([])
        groups[-1].append(position)
    return groups


def _visible(rows: Sequence[Sequence[int]], before: int) -> Tensor | None:
    branching = [any(parent != place - 1 for place, parent in enumerate(row)) for row in rows]
    if not before and not any(branching):
        return None
    width = len(rows[0])
    sees = torch.ones(len(rows) if any(branching) else 1, 1, width, before + width, dtype=torch.bool).tril(before)
    for index, row in enumerate(rows):
        if branching[index]:
            _let_see_ancestors(sees[index, 0, :, before:], row)
    return sees


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
    head = layout.head.layers[module.layer_idx] if layout.head else None
    states = [state[0].transpose(0, 1) for state in (query, key, value)]
    attended = [_attend_bucket(bucket, states, head, scaling) for bucket in layout.buckets]
    return torch.cat(attended)[layout.give].unsqueeze(0), None


def _attend_bucket(
    bucket: Bucket, states: Sequence[Tensor], head: tuple[Tensor, Tensor] | None, scaling: float | None
) -> Tensor:
    """(tokens, heads, size) each ─▶ (places, heads, size)."""
    queries, keys, values = (state[bucket.take].transpose(1, 2) for state in states)
    if head:
        copies = [state.expand(len(bucket.take), -1, -1, -1) for state in head]
        keys, values = torch.cat([copies[0], keys], dim=2), torch.cat([copies[1], values], dim=2)
    groups = queries.shape[1] // keys.shape[1]
    in_groups = groups > 1 and (bucket.sees is None or queries.device.type == "cpu")
    if groups > 1 and not in_groups:  # on GPUs, torch's fast kernels take a mask or grouped heads, not both
        keys, values = keys.repeat_interleave(groups, dim=1), values.repeat_interleave(groups, dim=1)
    attended = scaled_dot_product_attention(
        queries, keys, values, bucket.sees, is_causal=bucket.sees is None, scale=scaling, enable_gqa=in_groups
    )
    return attended.transpose(1, 2).flatten(0, 1)


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
