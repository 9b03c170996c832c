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
        if self.master.grad is None:
            self.master.grad = torch.empty_like(self.master)
        if self.has_gradient:
            self.master.grad += gradient
        else:
            self.master.grad.copy_(gradient)
        self.has_gradient = True


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
        embeddings = model.get_input_embeddings().weight  # where tied, its gradient comes in two portions
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
                    self._copies.append(_Copy(weight, master))
                    if takes_early and weight is not embeddings:
                        weight.register_post_accumulate_grad_hook(self._copies[-1].take_gradient)

    def take_gradients(self) -> None:
        """Add the gradients of a part of the batch, in fp32, to those of the parts before it."""
        for copy in self._copies:
            copy.take_gradient()
            if not copy.has_gradient:  # nothing of this step has reached it; that of the last step is still there
                copy.master.grad = torch.zeros_like(copy.master)

    @torch.no_grad()
    def update_model(self) -> None:
        """Round the fp32 weights to the model's, after the optimiser has changed them."""
        for copy in self._copies:
            copy.weight.copy_(copy.master)
            copy.has_gradient = False
