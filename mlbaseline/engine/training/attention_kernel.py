"""The attention kernel of a training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

SHORT_TOKENS = 128
"""Up to this length matrix products are faster than torch's flash attention for bf16 on CPUs.

Forward and backward of 8 × 9 heads of width 64, in CPU milliseconds (torch 2.13, AVX512-BF16): 25 against 4 for 45
tokens, 53 against 25 for 128, 74 against 97 for 256. Nearly all of it is the backward pass.
"""


def attention_kernel(device: str, compute: str, n_tokens: int) -> AbstractContextManager[object]:
    """Choose the attention kernel of a step; its backward pass follows the forward pass.

    Args:
        device: device of the model, such as `cpu`.
        compute: precision in which the step is computed.
        n_tokens: length of the batch's longest sequence.

    Returns:
        A context in which the model runs forward.
    """
    if device == "cpu" and compute == "bf16" and n_tokens <= SHORT_TOKENS and torch.is_grad_enabled():
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()
