"""Training of all weights in bf16: the model computes with bf16 weights, the optimiser changes fp32 copies of them.

Autocast over fp32 weights casts all of them in every step. Here each weight is cast once a step, after it has changed,
and the loss is that of fp32 weights: updates smaller than bf16's spacing add up in the copies (Micikevicius et al.
2018, "Mixed precision training", section 3.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlbaseline.engine.training.tied_embeddings import compute_tied_gradient_in, has_tied_embeddings


@dataclass(eq=False)
class _Copy:
    """A bf16 weight and its fp32 copy. has_gradient: whether that has one of this step."""

    weight: nn.Parameter
    master: nn.Parameter
    has_gradient: bool = False

    @torch.no_grad()
    def take_gradient(self, _: Tensor | None = None) -> None:
        """Move the gradient of the weight to its copy, in fp32; add it to one that the copy has already."""
        gradient, self.weight.grad = self.weight.grad, None
        if gradient is None:
            return
        total, is_filled = self.open_gradient()
        if is_filled:
            total += gradient
        else:
            total.copy_(gradient)

    def open_gradient(self) -> tuple[Tensor, bool]:
        """Return the gradient of the copy, which gets a part now, and whether it holds others of this step already."""
        if self.master.grad is None:
            self.master.grad = torch.empty_like(self.master)
        is_filled, self.has_gradient = self.has_gradient, True
        return self.master.grad, is_filled


class MasterWeights:
    """The fp32 copies of a model's weights.

    Args:
        model: in fp32. Its weights become bf16, but for those that its architecture keeps in fp32.
        takes_early: take each gradient during the backward pass, as soon as it is computed: it is still in the
            processor's cache, and its memory serves the next one. False where processes sum gradients afterwards.

    Attributes:
        weights: name ─▶ fp32 weight that the optimiser changes, for each weight that learns.
    """

    def __init__(self, model: Any, *, takes_early: bool = False) -> None:
        kept = [*(getattr(model, "_keep_in_fp32_modules", None) or ())]
        kept += getattr(model, "_keep_in_fp32_modules_strict", None) or ()
        in_fp32 = re.compile("|".join(rf"(^|\.){re.escape(module)}(\.|$)" for module in kept) or r"\b\B")
        embeddings = model.get_input_embeddings().weight
        is_tied = takes_early and has_tied_embeddings(model)
        self.weights: dict[str, nn.Parameter] = {}
        self._copies: list[_Copy] = []
        for name, weight in model.named_parameters():
            master = weight
            if weight.dtype is torch.float32 and not in_fp32.search(name):
                master = nn.Parameter(weight.detach(), requires_grad=weight.requires_grad)
                weight.data = weight.data.to(torch.bfloat16)
            if weight.requires_grad:
                self.weights[name] = master
                if master is not weight:
                    self._copies.append(copy := _Copy(weight, master))
                    if weight is embeddings and is_tied:
                        compute_tied_gradient_in(copy.open_gradient, model)
                    elif takes_early:
                        weight.register_post_accumulate_grad_hook(copy.take_gradient)

    def take_gradients(self) -> None:
        """Add the gradients of a part of the batch, in fp32, to those of the parts before it."""
        for copy in self._copies:
            copy.take_gradient()
            if not copy.has_gradient:  # nothing of this step has reached it; that of the last step is still there
                copy.master.grad = torch.zeros_like(copy.master)

    def clip_in_step(self, optimizer: torch.optim.Optimizer, max_norm: float) -> None:
        """Let the next step of `optimizer` clip gradients to `max_norm` as it reads them.

        Fused AdamW divides them by its attribute `grad_scale`, which torch sets for mixed precision: a pass over all
        gradients less than `clip_grad_norm_` makes.
        """
        gradients = [weight.grad for weight in self.weights.values() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        optimizer.grad_scale = (norm / max_norm).clamp(min=1.0)  # type: ignore[attr-defined]

    @torch.no_grad()
    def update_model(self) -> None:
        """Round the fp32 weights to the model's, after the optimiser has changed them."""
        for copy in self._copies:
            copy.weight.copy_(copy.master)
            copy.has_gradient = False
