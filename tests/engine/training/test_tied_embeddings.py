from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mlbaseline.engine.training.tied_embeddings import accumulate_tied_gradient_in_place, compute_tied_gradient_in
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint

IDS = torch.tensor([[5, 9, 5, 7, 0, 5], [9, 9, 2, 1, 0, 0]])


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu").model


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Of two passes, the second of which adds to the first."""
    model.zero_grad()
    for ids in (IDS, IDS.flip(1)):
        model(input_ids=ids, use_cache=False).logits.log_softmax(-1)[..., 3].sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("padding", [None, 9])
def test_the_gradients_are_those_of_autograd(model: Any, padding: int | None) -> None:
    model.get_input_embeddings().padding_idx = padding
    expected = gradients(model)
    accumulate_tied_gradient_in_place(model)
    assert model.get_input_embeddings()._forward_hooks
    found = gradients(model)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-6 * gradient.norm(), name
    with torch.inference_mode():
        assert model(input_ids=IDS).logits.shape == (2, 6, 320)


@pytest.mark.parametrize("padding", [None, 9])
def test_the_gradient_in_another_tensor_is_that_of_autograd(model: Any, padding: int | None) -> None:
    embeddings = model.get_input_embeddings()
    embeddings.padding_idx = padding
    expected = gradients(model)["model.embed_tokens.weight"]
    model.zero_grad()
    total, calls = torch.full_like(embeddings.weight, torch.nan), iter(range(99))
    compute_tied_gradient_in(lambda: (total, next(calls) > 0), model)
    for ids in (IDS, IDS.flip(1)):
        model(input_ids=ids, use_cache=False).logits.log_softmax(-1)[..., 3].sum().backward()
    assert embeddings.weight.grad is None
    assert (total - expected).norm() <= 1e-6 * expected.norm()


def test_checkpointed_layers_give_the_same(model: Any) -> None:
    expected = gradients(model)
    accumulate_tied_gradient_in_place(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    found = gradients(model.train())
    assert all((found[name] - gradient).norm() <= 1e-6 * gradient.norm() for name, gradient in expected.items())


@pytest.mark.parametrize("why", ["frozen", "untied", "scaled"])
def test_other_embeddings_are_left_alone(model: Any, why: str) -> None:
    embeddings = model.get_input_embeddings()
    if why == "frozen":
        embeddings.weight.requires_grad_(False)
    elif why == "untied":
        model.lm_head.weight = torch.nn.Parameter(embeddings.weight.detach().clone())
    else:
        embeddings.__class__ = type("Scaled", (torch.nn.Embedding,), {})
    accumulate_tied_gradient_in_place(model)
    assert not embeddings._forward_hooks
