from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from mlbaseline.engine.training.attention_kernel import SHORT_TOKENS, attention_kernel


def backward_of(compute: str, n_tokens: int) -> str:
    query = torch.randn(2, 3, n_tokens, 16, requires_grad=True, dtype=torch.bfloat16)
    with attention_kernel("cpu", compute, n_tokens):
        attended = scaled_dot_product_attention(query, query, query, is_causal=True)
    return type(attended.grad_fn).__name__


@pytest.mark.parametrize(
    ("compute", "n_tokens", "flash"),
    [("bf16", 45, False), ("bf16", SHORT_TOKENS, False), ("bf16", SHORT_TOKENS + 1, True), ("fp32", 45, True)],
)
def test_flash_attention_is_for_what_it_is_faster_at(compute: str, n_tokens: int, flash: bool) -> None:
    assert ("Flash" in backward_of(compute, n_tokens)) is flash


def test_both_kernels_give_the_same_within_bf16() -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 3, 40, 16, dtype=torch.bfloat16)
    flash = scaled_dot_product_attention(query, query, query, is_causal=True)
    with attention_kernel("cpu", "bf16", 40):
        ours = scaled_dot_product_attention(query, query, query, is_causal=True)
    assert (flash - ours).abs().max() <= 2**-6
