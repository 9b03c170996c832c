from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mlbaseline.engine.training.master_weights import MasterWeights
from mlbaseline.engine.training.train import train
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from tests.support.models.training_jobs import FULL, make_job

IDS = torch.tensor([[5, 9, 5, 7, 0, 5], [9, 9, 2, 1, 0, 0]])


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu").model


def add_gradients(model: Any, ids: torch.Tensor) -> None:
    model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[..., 3].sum().backward()


def test_the_model_computes_in_bf16_and_its_weights_are_kept(model: Any) -> None:
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    masters = MasterWeights(model)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert masters.weights.keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in masters.weights.items())
    assert all(torch.equal(weight, before[name].bfloat16()) for name, weight in model.named_parameters())


def test_updates_smaller_than_the_spacing_of_bf16_add_up(model: Any) -> None:
    masters = MasterWeights(model)
    weight, master = model.lm_head.weight, masters.weights["model.embed_tokens.weight"]
    with torch.no_grad():
        weight.fill_(1.0), master.fill_(1.0)
        for _ in range(8):  # each 1/1024, where bf16 has steps of 1/128
            master += 2**-10
            masters.update_model()
    assert (weight == 1 + 2**-7).all()


def test_gradients_taken_during_the_backward_pass_are_the_same(tiny_model: Path) -> None:
    gradients = []
    for takes_early in (False, True):
        model = load_checkpoint(tiny_model, precision="fp32", device="cpu").model
        masters = MasterWeights(model, takes_early=takes_early)
        for ids in (IDS, IDS.flip(1)):
            add_gradients(model, ids)
            assert not takes_early or all(weight.grad is None for weight in model.parameters())
            masters.take_gradients()
        gradients.append({name: weight.grad for name, weight in masters.weights.items()})
    late, early = gradients
    tied = "model.embed_tokens.weight"
    assert all(torch.equal(early[name], late[name]) for name in late.keys() - {tied})
    assert 0 < (early[tied] - late[tied]).norm() < 2**-8 * late[tied].norm(), "which is not rounded to bf16"


@pytest.mark.parametrize("max_norm", [1e-2, 1e6])
def test_gradients_are_clipped_in_the_step(model: Any, max_norm: float) -> None:
    masters = MasterWeights(model, takes_early=True)
    add_gradients(model, IDS)
    masters.take_gradients()
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in masters.weights.values()])
    copies = {name: torch.nn.Parameter(weight.detach().clone()) for name, weight in masters.weights.items()}
    for name, copy in copies.items():
        copy.grad = masters.weights[name].grad.clone() * min(1.0, max_norm / float(norm))
    expected, found = (torch.optim.AdamW(given.values(), eps=1.0, fused=True) for given in (copies, masters.weights))
    masters.clip_in_step(found, max_norm)
    expected.step(), found.step()
    for name, copy in copies.items():
        torch.testing.assert_close(masters.weights[name], copy)


def test_a_weight_that_a_step_does_not_reach_has_a_gradient_of_zero(model: Any) -> None:
    masters = MasterWeights(model)
    add_gradients(model, IDS)
    masters.take_gradients()
    masters.update_model()
    masters.take_gradients()
    assert not any(weight.grad.any() for weight in masters.weights.values())


def test_parts_of_a_batch_are_summed_in_fp32(model: Any) -> None:
    masters = MasterWeights(model)
    expected: dict[str, torch.Tensor] = {}
    for ids in (IDS, IDS.flip(1), IDS):
        add_gradients(model, ids)
        for name, weight in model.named_parameters():
            expected[name] = expected.get(name, 0) + weight.grad.float()
        masters.take_gradients()
        assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(weight.grad, expected[name]) for name, weight in masters.weights.items())
    masters.update_model()
    add_gradients(model, IDS[:1])
    masters.take_gradients()  # of the next step: nothing of the one before is left
    assert any((weight.grad != expected[name]).any() for name, weight in masters.weights.items())
    masters.update_model()
    masters.take_gradients()
    assert all((weight.grad == 0).all() for weight in masters.weights.values()), "no gradient is none of before"


def test_what_the_architecture_keeps_in_fp32_stays(model: Any) -> None:
    model._keep_in_fp32_modules = ["mlp.down_proj"]
    masters = MasterWeights(model)
    kept = {name for name, weight in model.named_parameters() if weight.dtype is torch.float32}
    assert kept == {name for name in masters.weights if "mlp.down_proj" in name}
    assert all(masters.weights[name] is model.get_parameter(name) for name in kept)


@pytest.mark.usefixtures("own_cache")
def test_the_loss_is_that_of_fp32(tiny_model: Path) -> None:
    fp32, bf16 = (train(make_job(tiny_model, FULL, precision=precision)) for precision in ("fp32", "bf16"))
    assert bf16.losses == pytest.approx(fp32.losses, rel=0.05)
    assert sum(bf16.losses) == pytest.approx(sum(fp32.losses), rel=0.01)
