"""Inputs of different lengths in one forward pass without padding: only attention is computed per input.

All tokens of a batch form a single sequence, so that everything that works on one token at a time (nine tenths of a
model and more) computes no padding. For the duration of the pass, attention is ours: it splits the sequence into its
rows, puts the shared prefix before each, and lets every token attend to its own ancestors only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from mlbaseline.engine.inference.shared_prefix import SharedPrefix

_NAME = "mlbaseline_packed"
_SIMILAR_LENGTH = 0.7
"""Rows at least this long, as a share of the longest, are padded to it for attention."""


@dataclass(frozen=True)
class LengthBucket:
    """Rows of similar length, which attention computes as one batch.

    Attributes:
        source: (rows, width), positions in the sequence; padding has any position.
        mask: what each position sees, (rows or 1, 1, width, prefix + width); None: causal, without a prefix.
    """

    source: Tensor
    mask: Tensor | None


@dataclass(frozen=True)
class PackedLayout:
    """Where the rows lie in the packed sequence.

    Attributes:
        buckets: the rows, by length.
        target: (tokens,), for each token of the sequence its position among those of all buckets, one after the other.
        prefix: stands before every row.
    """

    buckets: tuple[LengthBucket, ...]
    target: Tensor
    prefix: SharedPrefix | None

    def to(self, device: torch.device) -> PackedLayout:
        """Return the same layout on another device; keys and values of the prefix are where their layers are."""
        buckets = (
            LengthBucket(bucket.source.to(device), None if bucket.mask is None else bucket.mask.to(device))
            for bucket in self.buckets
        )
        return PackedLayout(tuple(buckets), self.target.to(device), self.prefix)


def make_layout(
    parents: Sequence[Sequence[int]], prefix: SharedPrefix | None, device: Any, *, by_row: bool = False
) -> PackedLayout:
    """Lay out rows in one sequence, in their order.

    Args:
        parents: for each row and token, the position in the row of the token before it; -1: only the prefix is before.
        prefix: stands before every row.
        device: where the model computes.
        by_row: compute attention of every row by itself, so that its bits do not depend on the other rows.
    """
    starts = list(accumulate(map(len, parents), initial=0))
    target = torch.empty(starts[-1], dtype=torch.long)
    buckets = []
    n_positions = 0
    lengths_of_rows = [len(row) for row in parents]
    groups = [[index] for index in range(len(parents))] if by_row else _group_by_length(lengths_of_rows)
    for members in groups:
        rows = [parents[index] for index in members]
        lengths, columns = torch.tensor([len(row) for row in rows])[:, None], torch.arange(len(rows[0]))
        inside = columns < lengths
        source = torch.where(inside, torch.tensor([starts[index] for index in members])[:, None] + columns, 0)
        target[source[inside]] = n_positions + inside.flatten().nonzero().flatten()
        n_positions += source.numel()
        mask = _make_mask(rows, len(prefix) if prefix else 0)
        buckets.append(LengthBucket(source.to(device), None if mask is None else mask.to(device)))
    return PackedLayout(tuple(buckets), target.to(device), prefix)


def _group_by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Group positions of `lengths` by similar length, the longest of each group first."""
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if not groups or lengths[position] < _SIMILAR_LENGTH * lengths[groups[-1][0]]:
            groups.append([])
        groups[-1].append(position)
    return groups


def _make_mask(rows: Sequence[Sequence[int]], prefix_length: int) -> Tensor | None:
    branches = [any(parent != place - 1 for place, parent in enumerate(row)) for row in rows]
    if not prefix_length and not any(branches):
        return None
    width = len(rows[0])
    shape = (len(rows) if any(branches) else 1, 1, width, prefix_length + width)
    mask = torch.ones(shape, dtype=torch.bool).tril(prefix_length)
    for index, row in enumerate(rows):
        if branches[index]:
            _mask_other_branches(mask[index, 0, :, prefix_length:], row)
    return mask


def _mask_other_branches(mask: Tensor, parents: Sequence[int]) -> None:
    """Narrow a causal mask (width, width) in place: where a branch begins, only its ancestors stay visible."""
    starts = [place for place, parent in enumerate(parents) if parent != place - 1]
    for start, end in zip(starts, [*starts[1:], len(parents)], strict=True):
        parent = parents[start]
        mask[start:end, :start] = mask[parent, :start] if parent >= 0 else False


@contextmanager
def packed_attention(model: Any, layout: PackedLayout) -> Iterator[None]:
    """Within the block, let `model(...)` compute one packed sequence.

    Args:
        model: see `supports_packing`.
        layout: of the sequence.
    """
    before = model.config._attn_implementation
    token = _LAYOUTS.set({layout.target.device: layout})
    try:
        model.set_attn_implementation(_NAME)
        yield
    finally:
        model.set_attn_implementation(before)
        _LAYOUTS.reset(token)


_LAYOUTS: ContextVar[dict[torch.device, PackedLayout]] = ContextVar("layouts")
"""Device ─▶ layout of the sequence: the layers of a model may lie on several devices."""


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, scaling: float | None = None, **__: Any
) -> tuple[Tensor, None]:
    """Compute attention of a layer: (1, heads, tokens, size) each ─▶ (1, tokens, heads, size)."""
    layouts = _LAYOUTS.get()
    if query.device not in layouts:
        layouts[query.device] = next(iter(layouts.values())).to(query.device)
    layout = layouts[query.device]
    prefix = layout.prefix.layers[module.layer_idx] if layout.prefix else None
    states = [state[0].transpose(0, 1) for state in (query, key, value)]
    attended = [_attend_bucket(bucket, states, prefix, scaling) for bucket in layout.buckets]
    outputs = torch.cat(attended)[layout.target]
    if n_padding := len(states[0]) - len(outputs):
        outputs = torch.cat([outputs, outputs.new_zeros(n_padding, *outputs.shape[1:])])
    return outputs.unsqueeze(0), None


def _attend_bucket(
    bucket: LengthBucket, states: Sequence[Tensor], prefix: tuple[Tensor, Tensor] | None, scaling: float | None
) -> Tensor:
    """Compute attention of a bucket: (tokens, heads, size) each ─▶ (rows × width, heads, size)."""
    queries, keys, values = (state[bucket.source].transpose(1, 2) for state in states)
    if prefix:
        copies = [state.expand(len(bucket.source), -1, -1, -1) for state in prefix]
        keys, values = torch.cat([copies[0], keys], dim=2), torch.cat([copies[1], values], dim=2)
    groups = queries.shape[1] // keys.shape[1]
    in_groups = groups > 1 and (bucket.mask is None or queries.device.type == "cpu")
    if groups > 1 and not in_groups:  # on GPUs, torch's fast kernels take a mask or grouped heads, not both
        keys, values = keys.repeat_interleave(groups, dim=1), values.repeat_interleave(groups, dim=1)
    attended = scaled_dot_product_attention(
        queries, keys, values, bucket.mask, is_causal=bucket.mask is None, scale=scaling, enable_gqa=in_groups
    )
    return attended.transpose(1, 2).flatten(0, 1)


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
