"""The gradient of tied embeddings, which are also the weights of the output, where all weights learn.

The output's gradient covers the whole vocabulary and is computed first. For the few hundred tokens of the input,
autograd makes another gradient of that size, nearly all zeros, and adds the two: for a small model, several hundredths
of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def has_tied_embeddings(model: Any) -> bool:
    """Return whether a plain embedding and a plain linear output share weights that learn."""
    embeddings, output = model.get_input_embeddings(), model.get_output_embeddings()
    is_plain = type(embeddings) is nn.Embedding and not (
        embeddings.sparse or embeddings.scale_grad_by_freq or embeddings.max_norm
    )
    is_shared = type(output) is nn.Linear and output.weight is embeddings.weight
    return is_plain and is_shared and bool(embeddings.weight.requires_grad)


def accumulate_tied_gradient_in_place(model: Any) -> None:
    """Add the gradient of the input embeddings only to the rows of their tokens; the sums stay the same.

    Does nothing unless the model `has_tied_embeddings`.
    """
    if not has_tied_embeddings(model):
        return
    weight = model.get_input_embeddings().weight

    def add(tokens: Tensor, rows: Tensor) -> None:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        weight.grad.index_add_(0, tokens, rows.to(weight.dtype))

    _give_rows_of_input(model, add)


def compute_tied_gradient_in(gradient_of: Callable[[], tuple[Tensor, bool]], model: Any) -> None:
    """Let hooks add both parts of the gradient of tied embeddings to a tensor, which may be in a higher precision.

    Autograd would write the output's part, which covers the vocabulary, in the precision of the weights, and it would
    be read again to be added.

    Args:
        gradient_of: returns the tensor, (vocabulary, width), and whether it holds gradients of this step already.
        model: its tied weights no longer require a gradient.
    """
    output = model.get_output_embeddings()
    model.get_input_embeddings().weight.requires_grad_(False)

    def add_product(inputs: Tensor, gradient: Tensor) -> None:
        total, is_filled = gradient_of()
        positions = gradient.flatten(0, -2).to(total.dtype)
        total.addmm_(positions.T, inputs.flatten(0, -2).to(total.dtype), beta=float(is_filled))

    def give_positions(_: Any, inputs: tuple[Tensor, ...], logits: Any) -> None:
        if logits.requires_grad:
            states = inputs[0].detach()
            logits.register_hook(lambda gradient: add_product(states, gradient))

    def add_rows(tokens: Tensor, rows: Tensor) -> None:
        total, is_filled = gradient_of()
        if not is_filled:
            total.zero_()
        total.index_add_(0, tokens, rows.to(total.dtype))

    output.register_forward_hook(give_positions)
    _give_rows_of_input(model, add_rows)


def _give_rows_of_input(model: Any, add: Callable[[Tensor, Tensor], None]) -> None:
    """Detach embedded tokens from the graph; in the backward pass give `add` the tokens and the gradient of each."""

    def detach(embeddings: Any, inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor | None:
        if not torch.is_grad_enabled():
            return None
        tokens, padding = inputs[0].flatten(), embeddings.padding_idx

        def give(gradient: Tensor) -> None:
            rows = gradient.flatten(0, -2)
            if padding is not None:  # gets no gradient from the input
                rows = rows.masked_fill((tokens == padding)[:, None], 0.0)
            add(tokens, rows)

        leaf: Any = embedded.detach().requires_grad_()
        leaf.register_hook(give)
        return leaf  # type: ignore[no-any-return]

    model.get_input_embeddings().register_forward_hook(detach)
