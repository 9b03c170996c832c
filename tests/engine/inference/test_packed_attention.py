"""Attention over packed rows where the layers of a model lie on several devices.

Without a second device, torch's `meta` stands for one: its tensors have shapes and no values.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from mlbaseline.engine.inference.packed_attention import make_layout, packed_attention
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint


@pytest.mark.parametrize("parents", [(-1, 0, 1), (-1, 0, 0)], ids=["row", "branches"])
def test_a_layer_on_another_device_gets_the_layout_there(tiny_model: Path, parents: tuple[int, ...]) -> None:
    model = load_checkpoint(tiny_model, precision="fp32", device="cpu").model
    layout = make_layout([parents], None, "cpu")
    with packed_attention(model, layout):
        attend = ALL_ATTENTION_FUNCTIONS[model.config._attn_implementation]
        for device in ("cpu", "meta", "cpu"):
            states = [torch.zeros(1, 4, len(parents), 8, device=device) for _ in range(3)]
            attended, _ = attend(SimpleNamespace(layer_idx=0), *states)
            assert (attended.device.type, attended.shape) == (device, (1, len(parents), 4, 8))
    on_meta = layout.to(torch.device("meta"))
    tensors = [
        on_meta.target,
        *(t for bucket in on_meta.buckets for t in (bucket.source, bucket.mask) if t is not None),
    ]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
