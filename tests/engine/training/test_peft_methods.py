"""Every PEFT method: trains, saves, loads in a new process, and says there what the adapted model itself says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.inference.shared_prefix import unwrap_adapter
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.scoring.perplexity import TextScorer
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.engine.training.peft_methods import add_adapter, check_method
from mlbaseline.engine.training.train import train
from mlbaseline.errors import MlbaselineError, SuiteError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Trained
from mlbaseline.suite import Evaluation, Ia3, Lora, OtherPeft, Peft, PrefixTuning, PromptTuning
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, SHOTS, TEMPLATE, make_data, make_examples
from tests.support.models.plain_scoring import plain_answers
from tests.support.models.training_jobs import make_job

OPTIONS: dict[str, Any] = {"kind": "peft", "base": "zero_shot", "epochs": 1, "batch_size": 8, "learning_rate": 5e-2}


def other(config: str, **options: Any) -> OtherPeft:
    return OtherPeft(method="peft", config=config, options=options, **OPTIONS)


SPECS: dict[str, Peft] = {
    "lora": Lora(method="lora", rank=4, **OPTIONS),
    "rslora": Lora(method="lora", rank=4, rslora=True, **OPTIONS),
    "dora": Lora(method="lora", rank=4, dora=True, **OPTIONS),
    "ia3": Ia3(method="ia3", **OPTIONS),
    "prompt_tuning": PromptTuning(method="prompt_tuning", virtual_tokens=5, **OPTIONS),
    "prefix_tuning": PrefixTuning(method="prefix_tuning", virtual_tokens=5, init_text="Sentiment", **OPTIONS),
    "vera": other("VeraConfig", r=4),
    "p_tuning": other("PromptEncoderConfig", num_virtual_tokens=3, encoder_hidden_size=8),
    "cannot be merged": other("AdaptionPromptConfig", adapter_len=3, adapter_layers=1),
}
MERGED = ("lora", "rslora", "dora", "ia3", "vera")
DATA = make_data("train", 16)
EXAMPLES = make_examples()
PROMPTING = Prompting(TEMPLATE, SHOTS, 2)
"""With a head of its own, which then stands behind what an adapter puts in front."""
EVALUATION = Evaluation(max_length=200, latency_sample=0)


def make_peft_job(folder: Path, spec: Peft, **changes: Any) -> TrainingJob:
    return make_job(folder, spec, train=DATA, dev=None, evaluation=EVALUATION, **changes)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBASELINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {name: train(make_peft_job(tiny_model, spec)) for name, spec in SPECS.items()}


@pytest.fixture(scope="module")
def elsewhere(tiny_model: Path, trained: dict[str, Trained]) -> dict[str, dict[str, list[float]]]:
    """Method ─▶ example ─▶ log-likelihoods, all from one other process."""
    code = (
        "import json, sys, pathlib\n"
        "from tests.engine.training.test_peft_methods import answers\n"
        "base, *folders = map(pathlib.Path, sys.argv[1:])\n"
        "print(json.dumps([answers(folder, base) for folder in folders]))\n"
    )
    folders = [str(one.folder) for one in trained.values()]
    command = [sys.executable, "-W", "ignore", "-c", code, str(tiny_model), *folders]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(trained, json.loads(shown.stdout), strict=True))


def answers(folder: Path, base: Path) -> dict[str, list[float]]:
    return scored(load_checkpoint(folder, base=base, precision="fp32", device="cpu"))


def scored(checkpoint: Checkpoint) -> dict[str, list[float]]:
    scorer = ChoiceScorer(checkpoint, PROMPTING, LABELS, EVALUATION)
    return {answer.example_id: list(answer.loglik_nats) for answer in scorer.answer(EXAMPLES)}


class Plain:
    """An adapted model asked without any part of the engine; logits of the virtual tokens are left out."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> Any:
        output = self.model(input_ids=input_ids)
        output.logits = output.logits[:, -input_ids.shape[1] :]
        return output


def plainly(checkpoint: Checkpoint) -> dict[str, list[float]]:
    return plain_answers(Plain(checkpoint.model), checkpoint.tokenizer, PROMPTING, EXAMPLES)


def assert_close(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert found.keys() == expected.keys()
    for name, nats in expected.items():
        assert found[name] == pytest.approx(nats, abs=1e-4)


@pytest.mark.parametrize("name", SPECS)
def test_a_new_process_says_what_the_adapted_model_says(
    tiny_model: Path, trained: dict[str, Trained], elsewhere: dict[str, Any], name: str
) -> None:
    options: dict[str, Any] = {"base": tiny_model, "precision": "fp32", "device": "cpu"}
    beside = load_checkpoint(trained[name].folder, merge=False, **options)
    assert hasattr(beside.model, "get_base_model")
    expected = plainly(beside)
    assert_close(elsewhere[name], expected)
    assert_close(scored(beside), expected)
    assert hasattr(load_checkpoint(trained[name].folder, **options).model, "get_base_model") == (name not in MERGED)
    base = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    assert (
        max(abs(a - b) for name, nats in scored(base).items() for a, b in zip(nats, expected[name], strict=True)) > 0.1
    )


def test_what_is_trained_is_what_is_saved(trained: dict[str, Trained]) -> None:
    for name, one in trained.items():
        assert one.trainable_params > 0
        assert one.weights.size_bytes == sum(file.stat().st_size for file in one.folder.glob("*.safetensors"))
        assert one.weights.size_bytes >= 4 * one.trainable_params * (name != "p_tuning"), "p_tuning keeps its result"
        assert {file.name for file in one.folder.iterdir()} >= {"adapter_config.json", "base.json"}
    params = {name: one.trainable_params for name, one in trained.items()}
    assert params["lora"] == params["rslora"] < params["dora"]
    assert params["prompt_tuning"] == 5 * 48
    assert params["prefix_tuning"] == 5 * 2 * 2 * 24  # tokens, layers, keys and values, width of both heads


def test_virtual_tokens_are_read_once_as_a_head(tiny_model: Path, trained: dict[str, Trained]) -> None:
    checkpoint = load_checkpoint(trained["prompt_tuning"].folder, base=tiny_model, precision="fp32", device="cpu")
    inner, front = unwrap_adapter(checkpoint.model)
    assert inner is checkpoint.model.get_base_model()
    assert front is not None and len(front) == 5 and front.tokens == ()
    assert checkpoint.max_positions == 256 - 5


@pytest.mark.parametrize("name", ["prompt_tuning", "prefix_tuning"])
def test_virtual_tokens_stand_before_what_is_written_and_read(
    tiny_model: Path, trained: dict[str, Trained], name: str
) -> None:
    checkpoint = load_checkpoint(trained[name].folder, base=tiny_model, precision="fp32", device="cpu")
    plain, tokenizer, decoding = Plain(checkpoint.model), checkpoint.tokenizer, Decoding(max_new_tokens=4)
    generator = Generator(checkpoint, PROMPTING, decoding, EVALUATION)
    written = {answer.example_id: answer.prediction for answer in generator.answer(EXAMPLES)}
    read = {a.example_id: a.sums for a in TextScorer(checkpoint, Prompting("{text}"), EVALUATION).answer(EXAMPLES)}
    for example in EXAMPLES:
        ids = tokenizer(PROMPTING.prompt(example).context)["input_ids"]
        new: list[int] = []
        while len(new) < 4 and tokenizer.eos_token_id not in new:
            new.append(int(plain(torch.tensor([ids + new])).logits[0, -1].argmax()))
        text = tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert written[example.id] == decoding.answer_in(decoding.cut(text))
        ids = tokenizer(example.fields["text"])["input_ids"]
        nats = plain(torch.tensor([[tokenizer.bos_token_id, *ids[:-1]]])).logits[0].log_softmax(-1)
        expected = -float(nats[range(len(ids)), ids].sum())
        assert read[example.id]["nats"] == pytest.approx(expected, abs=1e-3)


def test_a_model_that_cannot_follow_a_head_is_asked_plainly(tiny_model: Path) -> None:
    checkpoint = sliding(tiny_model)
    torch.manual_seed(1)
    adapted = replace(checkpoint, model=add_adapter(checkpoint, SPECS["prompt_tuning"], "tiny").eval())
    assert unwrap_adapter(adapted.model) == (adapted.model, None)
    assert_close(scored(adapted), plainly(adapted))
    with pytest.raises(MlbaselineError, match="PROMPT_TUNING: this model cannot generate behind virtual tokens"):
        Generator(adapted, PROMPTING, Decoding(max_new_tokens=4), EVALUATION)
    with pytest.raises(MlbaselineError, match="prefix_tuning needs layers that all attend"):
        add_adapter(sliding(tiny_model), SPECS["prefix_tuning"], "tiny")


def sliding(tiny_model: Path) -> Checkpoint:
    """A model whose layers see the last 16 tokens only."""
    from transformers import MistralConfig, MistralForCausalLM

    tiny = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    sizes = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = MistralConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, sliding_window=16)
    return replace(tiny, model=MistralForCausalLM(config).eval())


def test_prompt_tuning_starts_where_it_is_told(tiny_model: Path) -> None:
    checkpoint = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    embeddings = checkpoint.model.get_input_embeddings().weight.detach().clone()
    spec = PromptTuning(method="prompt_tuning", virtual_tokens=6, init_text="so-so", **OPTIONS)
    adapted = add_adapter(checkpoint, spec, "tiny")
    tokens = checkpoint.tokenizer("so-so", add_special_tokens=False)["input_ids"]
    start = adapted.prompt_encoder["default"].embedding.weight
    assert torch.equal(start, embeddings[(tokens * 6)[:6]])


def test_a_prefix_starts_as_if_its_text_stood_there(tiny_model: Path) -> None:
    checkpoint = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    text = "so-so"
    tokens = checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]
    behind = checkpoint.tokenizer("very bad", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        expected = checkpoint.model(torch.tensor([tokens + behind])).logits[0, len(tokens) :]
    spec = PrefixTuning(method="prefix_tuning", virtual_tokens=len(tokens), init_text=text, **OPTIONS)
    adapted = add_adapter(checkpoint, spec, "tiny").eval()
    with torch.inference_mode():
        torch.testing.assert_close(adapted(input_ids=torch.tensor([behind])).logits[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["dora", "ia3", "prefix_tuning"])
def test_bf16_keeps_fp32_what_it_trains(tiny_model: Path, own_cache: Path, name: str) -> None:
    from safetensors.torch import load_file

    one = train(make_peft_job(tiny_model, SPECS[name], precision="bf16"))
    assert {tensor.dtype for tensor in load_file(one.folder / "adapter_model.safetensors").values()} == {torch.float32}
    assert scored(load_checkpoint(one.folder, base=tiny_model, precision="bf16", device="cpu"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (other("VerraConfig"), r"baselines\.x\.config: peft .* has no 'VerraConfig'; it has: .*VeraConfig"),
        (other("AdaLoraConfig"), r"baselines\.x\.config: AdaLoraConfig cannot be trained here: its ranks"),
        (other("VeraConfig", rank=4), r"baselines\.x\.options\.rank: VeraConfig has no such option; it has: .*\br\b"),
        (
            other("PromptTuningConfig", prompt_tuning_init="TEXT"),
            r"baselines\.x\.options: PromptTuningConfig refuses them: .*tokenizer_name_or_path",
        ),
        (
            other("PromptEncoderConfig", num_virtual_tokens=3).model_copy(update={"gradient_checkpointing": True}),
            r"baselines\.x\.gradient_checkpointing: drops the virtual tokens of PromptEncoderConfig",
        ),
    ],
)
def test_what_peft_does_not_have_is_named_before_anything_is_loaded(spec: OtherPeft, said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        check_method(spec, suite_name="tiny", baseline="x")


def test_what_peft_cannot_adapt_is_named(tiny_model: Path) -> None:
    checkpoint = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    with pytest.raises(MlbaselineError, match=r"method lora: peft cannot adapt LlamaForCausalLM.*nowhere"):
        add_adapter(checkpoint, Lora(method="lora", target_modules=("nowhere",), **OPTIONS), "tiny")
