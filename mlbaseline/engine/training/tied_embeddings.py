"""The gradient of tied embeddings, which are also the weights of the output, where all weights learn.

The output's gradient covers the whole vocabulary and is computed first. For the few hundred tokens of the input,
autograd makes another gradient of that size, nearly all zeros, and adds the two: for a small model, several hundredths
of a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def accumulate_tied_gradient_in_place(model: Any) -> None:
    """Add the gradient of the input embeddings only to the rows of their tokens; the sums stay the same.

    Does nothing unless embeddings and output share their weights, these learn, and the embeddings are a plain
    `nn.Embedding`.
    """
    embeddings, output = model.get_input_embeddings(), model.get_output_embeddings()
    is_plain = type(embeddings) is nn.Embedding and not (
        embeddings.sparse or embeddings.scale_grad_by_freq or embeddings.max_norm
    )
    if is_plain and embeddings.weight.requires_grad and embeddings.weight is getattr(output, "weight", None):
        embeddings.register_forward_hook(_detach)


def _detach(embeddings: Any, inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor | None:
    """Detach the embedded tokens from the graph; a hook adds their gradient to the weights."""
    if not torch.is_grad_enabled():
        return None
    weight, padding = embeddings.weight, embeddings.padding_idx

    def add(gradient: Tensor) -> None:
        tokens, rows = inputs[0].flatten(), gradient.flatten(0, -2)
        if padding is not None:  # gets no gradient from the input
            rows = rows.masked_fill((tokens == padding)[:, None], 0.0)
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        weight.grad.index_add_(0, tokens, rows.to(weight.dtype))

    leaf: Any = embedded.detach().requires_grad_()
    leaf.register_hook(add)
    return leaf  # type: ignore[no-any-return]
