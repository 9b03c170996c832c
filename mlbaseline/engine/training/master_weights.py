"""Training of all weights in bf16: the model computes with bf16 weights, the optimiser changes fp32 copies of them.

Autocast over fp32 weights casts all of them in every step. Here each weight is cast once a step, after it has changed,
and the loss is that of fp32 weights: updates smaller than bf16's spacing add up in the copies (Micikevicius et al.
2018, "Mixed precision training", section 3.1).
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn


class MasterWeights:
    """The fp32 copies of a model's weights.

    Args:
        model: in fp32. Its weights become bf16, but for those that its architecture keeps in fp32.

    Attributes:
        weights: name ─▶ fp32 weight that the optimiser changes, for each weight that learns.
    """

    def __init__(self, model: Any) -> None:
        kept = [*(getattr(model, "_keep_in_fp32_modules", None) or ())]
        kept += getattr(model, "_keep_in_fp32_modules_strict", None) or ()
        in_fp32 = re.compile("|".join(rf"(^|\.){re.escape(module)}(\.|$)" for module in kept) or r"\b\B")
        self.weights: dict[str, nn.Parameter] = {}
        self._copies: list[tuple[nn.Parameter, nn.Parameter]] = []
        self._is_first_part = True
        for name, weight in model.named_parameters():
            master = weight
            if weight.dtype is torch.float32 and not in_fp32.search(name):
                master = nn.Parameter(weight.detach(), requires_grad=weight.requires_grad)
                weight.data = weight.data.to(torch.bfloat16)
            if weight.requires_grad:
                self.weights[name] = master
                if master is not weight:
                    self._copies.append((weight, master))

    @torch.no_grad()
    def take_gradients(self) -> None:
        """Add the gradients of a part of the batch, in fp32, to those of the parts before it."""
        for weight, master in self._copies:
            if master.grad is None:
                master.grad = torch.zeros_like(master)
            if weight.grad is None:
                if self._is_first_part:
                    master.grad.zero_()
            elif self._is_first_part:
                master.grad.copy_(weight.grad)
            else:
                master.grad += weight.grad
            weight.grad = None
        self._is_first_part = False

    @torch.no_grad()
    def update_model(self) -> None:
        """Round the fp32 weights to the model's, after the optimiser has changed them."""
        for weight, master in self._copies:
            weight.copy_(master)
        self._is_first_part = True
