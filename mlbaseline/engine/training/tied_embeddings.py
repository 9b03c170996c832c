"""The gradient of embeddings that are the output's weights too, where all weights learn.

The output's gradient covers the whole vocabulary and is there first. Autograd makes as much again, nearly all of it
zeros, for the few hundred tokens that were read, and adds the two: for a small model, several hundredths of a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def add_lookups_in_place(model: Any) -> None:
    """Let what was read add its gradient to the rows of its tokens alone, the same sums otherwise.

    Only where embeddings and output share their weights, these learn, and the embeddings are plain.
    """
    embeddings, output = model.get_input_embeddings(), model.get_output_embeddings()
    is_plain = type(embeddings) is nn.Embedding and not (
        embeddings.sparse or embeddings.scale_grad_by_freq or embeddings.max_norm
    )
    if is_plain and embeddings.weight.requires_grad and embeddings.weight is getattr(output, "weight", None):
        embeddings.register_forward_hook(_cut)


def _cut(embeddings: Any, inputs: tuple[Tensor, ...], looked_up: Tensor) -> Tensor | None:
    """What was looked up, as if it came from nowhere: its gradient is added by hand."""
    if not torch.is_grad_enabled():
        return None
    weight, padding = embeddings.weight, embeddings.padding_idx

    def add(gradient: Tensor) -> None:
        tokens, rows = inputs[0].flatten(), gradient.flatten(0, -2)
        if padding is not None:  # which learns nothing from being read
            rows = rows.masked_fill((tokens == padding)[:, None], 0.0)
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        weight.grad.index_add_(0, tokens, rows.to(weight.dtype))

    leaf: Any = looked_up.detach().requires_grad_()
    leaf.register_hook(add)
    return leaf  # type: ignore[no-any-return]
