from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from mlbaseline.engine.inference.shared_prefix import logits_at


def test_only_the_selected_positions_reach_the_vocabulary(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    ids = torch.arange(20).reshape(2, 10)
    whole = model(ids).logits
    with logits_at(model, torch.tensor([0, 1, 1]), torch.tensor([9, 0, 4])):
        some = model(ids).logits
    assert some.shape == (1, 3, whole.shape[-1])
    assert torch.allclose(some[0], torch.stack([whole[0, 9], whole[1, 0], whole[1, 4]]), atol=1e-5)
    assert torch.equal(model(ids).logits, whole), "the model is as it was after the block"
