"""Weights in 8 and 4 bits: what they stand for, that neighbours do not matter, and adapters on them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.models.checkpoints import quantization
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.models.checkpoints.precision import computed_in, precision_fields
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import PHRASES, SHOTS, TEMPLATE, make_examples
from tests.support.models.plain_scoring import plain_answers
from tests.support.models.tiny_models import write_adapter
from tests.support.processes.fresh_process import in_fresh_process

bitsandbytes = pytest.importorskip("bitsandbytes", reason="quantised weights need bitsandbytes")

MAPS = Path("/proc/self/maps")
BOTH = pytest.mark.parametrize("precision", ["int8", "int4"])
DEVICES = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")
        ),
    ],
)
COMPUTE = pytest.mark.parametrize("compute", ["fp32", "bf16"])
NEIGHBOURS_NATS = {"fp32": 1e-3, "bf16": 0.5}
"""How far a score may move with what stands beside it: batches of other shapes round otherwise."""
IDS = torch.arange(3, 60).unsqueeze(0)


def log_probs(checkpoint: Checkpoint) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = checkpoint.model(input_ids=IDS.to(checkpoint.device)).logits
    return logits.float().log_softmax(-1).cpu()


def rounded(weights: torch.Tensor, precision: str) -> torch.Tensor:
    """What quantised weights stand for: int8 by its definition, NF4 by bitsandbytes' own way there and back."""
    if precision == "int4":
        packed, state = bitsandbytes.functional.quantize_4bit(weights, quant_type="nf4")
        back: torch.Tensor = bitsandbytes.functional.dequantize_4bit(packed, state)
        return back
    halves = weights.half().float()
    largest = halves.abs().amax(dim=1, keepdim=True)
    return (halves * (127 / largest)).round() * (largest / 127)


@DEVICES
@BOTH
def test_it_computes_with_what_the_weights_stand_for(wide_model: Path, precision: str, device: str) -> None:
    checkpoint = load_checkpoint(wide_model, precision=precision, compute="fp32", device=device)
    assert (checkpoint.precision, checkpoint.device, checkpoint.max_positions) == (precision, device, 256)
    assert not checkpoint.model.training
    plain = load_checkpoint(wide_model, precision="fp32", device="cpu")
    linear = [m for m in plain.model.model.modules() if isinstance(m, torch.nn.Linear)]
    assert checkpoint.model.get_memory_footprint() < 0.7 * plain.model.get_memory_footprint()
    before = log_probs(plain)
    with torch.no_grad():
        for layer in linear:
            layer.weight.copy_(rounded(layer.weight, precision))
    assert torch.allclose(log_probs(checkpoint), log_probs(plain), atol=2e-3 if device == "cpu" else 2e-2)
    # How far that is from the weights themselves: the mean over places of the divergence, in nats. Random weights of
    # this size answer sharply, and lose far more than those of a trained model.
    divergence = (before.exp() * (before - log_probs(checkpoint))).sum(-1).mean()
    assert 0 < divergence < (0.01 if precision == "int8" else 1.0)


def assert_neighbours_do_not_matter(checkpoint: Checkpoint, n: int, tolerance_nats: float) -> None:
    prompting, evaluation = Prompting(TEMPLATE, SHOTS), Evaluation(max_length=200, latency_sample=0)
    examples = make_examples(PHRASES, n=n)
    scorer = ChoiceScorer(checkpoint, prompting, PHRASES, evaluation)
    together = {answer.example_id: answer.loglik_nats for answer in scorer.answer(examples)}
    defined = plain_answers(checkpoint.model, checkpoint.tokenizer, prompting, examples)
    for example in examples:
        (alone,) = scorer.answer([example])
        assert alone.loglik_nats == pytest.approx(together[example.id], abs=tolerance_nats)
        assert defined[example.id] == pytest.approx(together[example.id], abs=tolerance_nats)


@COMPUTE
@BOTH
def test_neighbours_do_not_change_a_score(wide_model: Path, precision: str, compute: str) -> None:
    checkpoint = load_checkpoint(wide_model, precision=precision, compute=compute, device="cpu")
    assert_neighbours_do_not_matter(checkpoint, 14, NEIGHBOURS_NATS[compute])


def test_4_bit_weights_that_would_get_wrong_scales_are_refused(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor gives them, and its layers are no multiple of a block; int8 has a scale a row."""
    monkeypatch.setattr(quantization, "_misplaces_scales", lambda: True)
    with pytest.raises(MlbaselineError, match=r"q_proj has 48 inputs. .* if its inputs are a multiple of 64"):
        load_checkpoint(tiny_model, precision="int4", device="cpu")
    load_checkpoint(tiny_model, precision="int8", device="cpu")
    monkeypatch.setattr(quantization, "_misplaces_scales", lambda: False)
    load_checkpoint(tiny_model, precision="int4", device="cpu")


@pytest.mark.parametrize("width", [48, 64])
def test_what_is_not_refused_has_the_right_scales(width: int) -> None:
    """NF4 has sixteen values: every weight is rounded to the nearest of them, times the largest of its block."""
    torch.manual_seed(0)
    weights = torch.randn(32, width)
    levels = bitsandbytes.functional.get_4bit_type("nf4", device="cpu")
    blocks = weights.view(-1, 64)
    largest = blocks.abs().amax(dim=1, keepdim=True)
    expected = levels[((blocks / largest).unsqueeze(-1) - levels).abs().argmin(-1)] * largest
    assert rounded(weights, "int4").equal(expected.view_as(weights)) or (
        width % 64 and quantization._misplaces_scales()
    )


@BOTH
def test_the_file_that_was_read_is_let_go(wide_model: Path, precision: str) -> None:
    """What an embedding, which stays as it is, would keep of it in memory is more than quantising saves."""
    if not MAPS.is_file():
        pytest.skip("Linux tells which files a process has mapped")
    assert in_fresh_process(is_mapped, wide_model, "fp32"), "as a model does that is not quantised"
    assert not in_fresh_process(is_mapped, wide_model, precision)


def is_mapped(model: Path, precision: str) -> bool:
    checkpoint = load_checkpoint(model, precision=precision, device="cpu")
    assert checkpoint.model.get_input_embeddings().weight.dtype in (torch.float32, torch.bfloat16)
    return str(model) in MAPS.read_text(encoding="utf-8")


@pytest.fixture
def adapter(wide_model: Path, tmp_path: Path) -> Path:
    """A LoRA adapter, trained by nobody, that changes what the model says."""
    return write_adapter(wide_model, tmp_path / "adapter")


@DEVICES
@BOTH
def test_an_adapter_stays_beside_its_quantised_base(
    wide_model: Path, adapter: Path, precision: str, device: str
) -> None:
    """What answers is the rounded base and the adapter as it is: merged, it would be rounded, too."""
    adapted = load_checkpoint(adapter, base=wide_model, precision=precision, compute="fp32", device=device)
    assert any("lora" in name for name, _ in adapted.model.named_modules())
    plain = load_checkpoint(wide_model, precision="fp32", device="cpu")
    with torch.no_grad():
        for layer in plain.model.model.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.copy_(rounded(layer.weight, precision))
    plain.model.save_pretrained(adapter.parent / "rounded")
    plain.tokenizer.save_pretrained(adapter.parent / "rounded")
    expected = load_checkpoint(adapter, base=adapter.parent / "rounded", precision="fp32", device="cpu", merge=False)
    assert torch.allclose(log_probs(adapted), log_probs(expected), atol=2e-3 if device == "cpu" else 2e-2)


@BOTH
def test_a_method_that_does_not_know_quantised_layers_is_refused(
    wide_model: Path, tmp_path: Path, precision: str
) -> None:
    from peft import HRAConfig, get_peft_model

    plain = load_checkpoint(wide_model, precision="fp32", device="cpu").model
    get_peft_model(plain, HRAConfig(r=4, target_modules=["q_proj"])).save_pretrained(tmp_path)
    with pytest.raises(MlbaselineError, match=r"HRALinear \(at .*q_proj\) is not made for quantised weights"):
        load_checkpoint(tmp_path, base=wide_model, precision=precision, device="cpu")


def test_a_model_that_comes_quantised_is_refused(wide_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(wide_model, tmp_path / "gptq")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for precision in ("auto", "int8"):
        with pytest.raises(AssetError, match=r"already quantised \(gptq\): name the model that it was made from"):
            load_checkpoint(folder, precision=precision, device="cpu")
    load_checkpoint(wide_model, precision="int8", device="cpu").model.save_pretrained(tmp_path / "eight")
    with pytest.raises(AssetError, match=r"already quantised \(bitsandbytes\)"):
        load_checkpoint(tmp_path / "eight", precision="int8", device="cpu")


def test_what_is_computed_in_is_said_of_quantised_weights_alone(auto_precision: str) -> None:
    assert computed_in("int8", "cpu") == computed_in("int4", "cpu") == auto_precision
    assert computed_in("fp16", "cpu") == "fp16"
    assert precision_fields("int4", "bf16") == {"engine.precision": "int4", "engine.compute_precision": "bf16"}
    assert precision_fields("bf16", "bf16") == precision_fields("bf16", None) == {"engine.precision": "bf16"}


@COMPUTE
@pytest.mark.smollm
def test_a_real_model_from_a_gguf_file(smollm_gguf: Path, compute: str) -> None:
    """Over thirty layers, LLM.int8() moves scores by what stands beside them: what it is given it rounds."""
    checkpoint = load_checkpoint(smollm_gguf, precision="int8", compute=compute, device="cpu")
    assert checkpoint.model.get_memory_footprint() < 230e6  # fp32: 538 MB
    assert_neighbours_do_not_matter(checkpoint, 2, NEIGHBOURS_NATS[compute])


def test_bitsandbytes_says_nothing_on_import_whichever_of_our_modules_comes_first() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import mlbaseline, bitsandbytes"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
