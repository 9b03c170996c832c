from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint, model_folder
from mlbaseline.models.checkpoints.precision import resolve_precision
from tests.support.models.tiny_models import write_adapter


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """A LoRA adapter of the tiny model that changes what it says."""
    return write_adapter(tiny_model, tmp_path / "adapter")


def test_a_folder_loads_in_the_precision_asked_for(tiny_model: Path) -> None:
    for precision, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}.items():
        checkpoint = load_checkpoint(tiny_model, precision=precision, device="cpu")
        assert checkpoint.precision == precision
        assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {dtype}
        assert not checkpoint.model.training
        assert checkpoint.max_positions == 256


@pytest.mark.parametrize("merge", [True, False])
def test_positions_stay_in_fp32_as_transformers_keeps_them(tiny_model: Path, adapter: Path, merge: bool) -> None:
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).eval()
    ours = load_checkpoint(tiny_model, precision="bf16", device="cpu").model
    ids = torch.arange(200).unsqueeze(0)
    with torch.inference_mode():
        assert torch.equal(ours(ids).logits, theirs(ids).logits)
    adapted = load_checkpoint(adapter, base=tiny_model, precision="bf16", device="cpu", merge=merge).model
    assert {parameter.dtype for parameter in adapted.parameters()} == {torch.bfloat16}
    frequencies = [buffer for name, buffer in adapted.named_buffers() if name.endswith("inv_freq")]
    assert frequencies and all(torch.equal(found, theirs.model.rotary_emb.inv_freq) for found in frequencies)


def test_auto_is_bf16_only_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLBASELINE_NATIVE_BF16", raising=False)
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    if "flags" not in flags:
        pytest.skip("an x86 Linux tells what its processor can do in /proc/cpuinfo")
    native = " avx512_bf16" in flags or " amx_bf16" in flags
    assert resolve_precision("auto", "cpu") == ("bf16" if native else "fp32")
    assert resolve_precision("bf16", "cpu") == "bf16"


def test_auto_can_be_forced_to_either_precision(auto_precision: str, tiny_model: Path) -> None:
    assert resolve_precision("auto", "cpu") == load_checkpoint(tiny_model, device="cpu").precision == auto_precision
    assert resolve_precision("fp16", "cpu") == "fp16"


def test_auto_is_forced_by_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBASELINE_NATIVE_BF16", "yes")
    with pytest.raises(MlbaselineError, match="MLBASELINE_NATIVE_BF16: expected 0 or 1, got 'yes'"):
        resolve_precision("auto", "cpu")


def test_an_adapter_is_merged_into_its_base(tiny_model: Path, adapter: Path) -> None:
    from peft import PeftModel

    ids = torch.arange(10).unsqueeze(0)
    base = load_checkpoint(tiny_model, precision="fp32", device="cpu").model
    merged = load_checkpoint(adapter, base=tiny_model, precision="fp32", device="cpu").model
    with torch.inference_mode():
        plain, changed = base(ids).logits, merged(ids).logits
        expected = PeftModel.from_pretrained(base, str(adapter))(ids).logits
    assert not torch.allclose(plain, changed, atol=1e-2)
    assert torch.allclose(changed, expected, atol=1e-4)
    assert not any("lora" in name for name, _ in merged.named_modules())


def test_an_adapter_alone_names_the_base_that_it_needs(adapter: Path) -> None:
    with pytest.raises(AssetError, match="is an adapter, not a whole model: give the base"):
        load_checkpoint(adapter)


def test_an_adapter_of_another_model_is_refused(tiny_model: Path, adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: tensor.repeat(2, 2) for name, tensor in weights.items()}, adapter / "adapter_model.safetensors")
    with pytest.raises(AssetError, match="does not fit its base"):
        load_checkpoint(adapter, base=tiny_model, precision="fp32", device="cpu")


def test_what_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model", encoding="utf-8")
    with pytest.raises(AssetError, match=r"expected a folder with config.json .* got: notes.txt"):
        load_checkpoint(tmp_path)
    with pytest.raises(AssetError, match="or a GGUF file"):
        load_checkpoint(tmp_path / "notes.txt")
    with pytest.raises(AssetError, match="no such folder"):
        load_checkpoint(tmp_path / "nowhere")


def test_weights_that_are_cut_short_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(AssetError, match="the model cannot be loaded"):
        load_checkpoint(folder)


def test_a_folder_without_tokenizer_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "mute", ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(AssetError, match="the tokenizer cannot be loaded"):
        load_checkpoint(folder)


def test_code_beside_the_weights_is_never_run(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "armed")
    witness = tmp_path / "witness"
    (folder / "modeling_armed.py").write_text(f"open({str(witness)!r}, 'w').close()\n", encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {
        "model_type": "armed",
        "auto_map": {k: f"modeling_armed.{k}" for k in ("AutoConfig", "AutoModelForCausalLM")},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(AssetError):
        load_checkpoint(folder)
    assert not witness.exists()


def test_pickled_weights_are_never_read(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(AssetError, match=r"its weights are pickled \(pytorch_model.bin\).*save them as safetensors"):
        load_checkpoint(folder)


def test_loading_and_answering_say_nothing(wide_model: Path) -> None:
    code = (
        "import sys, pathlib, torch, mlbaseline.models.checkpoints.checkpoint as c\n"
        "for precision in sys.argv[2:]:\n"
        "    model = c.load_checkpoint(pathlib.Path(sys.argv[1]), precision=precision, device='cpu').model\n"
        "    model(torch.arange(9)[None])"
    )
    asked = ["auto", *(["int8", "int4"] if find_spec("bitsandbytes") else [])]
    command = [sys.executable, "-c", code, str(wide_model), *asked]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("", "")


def test_a_quantised_precision_says_what_it_needs(wide_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    said = r"precision int4 \(`evaluation.precision`.*needs bitsandbytes.*pip install 'mlbaseline\[quantized\]'"
    for ask in (lambda: resolve_precision("int4", "cpu"), lambda: load_checkpoint(wide_model, precision="int4")):
        with pytest.raises(MlbaselineError, match=said):
            ask()


@pytest.mark.smollm
def test_a_gguf_file_is_converted_once(smollm_gguf: Path) -> None:
    folder = model_folder(smollm_gguf)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert model_folder(smollm_gguf) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert not list(folder.parent.glob(".staging-*"))
    assert "quantization_config" not in json.loads((folder / "config.json").read_text(encoding="utf-8"))
