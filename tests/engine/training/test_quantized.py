"""Rungs whose weights are quantised: training on them, what their signatures say, and what is kept of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mlbaseline.assets import FetchedAsset, fetch
from mlbaseline.engine.rungs import Rung, RungContext, build_rungs
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.training import loop as training
from mlbaseline.engine.training.peft_methods import add_adapter
from mlbaseline.engine.training.train import train
from mlbaseline.errors import MlbaselineError
from mlbaseline.judge.comparability import require_comparable
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.models.checkpoints.precision import computed_in, dtype_of
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import Asset, Ia3, Lora, OtherPeft, PrefixTuning
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.choice_task import write_data
from tests.support.ladders.suites import fill, sentiment_suite
from tests.support.models.training_jobs import make_job

pytest.importorskip("bitsandbytes", reason="quantised weights need bitsandbytes")
pytestmark = pytest.mark.usefixtures("own_cache")

OPTIONS: dict[str, Any] = {"kind": "peft", "base": "zero_shot", "epochs": 2, "batch_size": 8}
LORA = Lora(method="lora", rank=4, learning_rate=2e-2, **OPTIONS)
METHODS = {
    "int8 lora": LORA,
    "int4 lora": LORA,
    "int8 dora": LORA.model_copy(update={"dora": True}),
    "int4 last layer": LORA.model_copy(update={"last_layers": 1}),
    "int8 checkpointing": LORA.model_copy(update={"gradient_checkpointing": True}),
    "int8 ia3": Ia3(method="ia3", learning_rate=5e-2, **OPTIONS),
    "int4 ia3": Ia3(method="ia3", learning_rate=5e-2, **OPTIONS),
    "int8 prefix": PrefixTuning(method="prefix_tuning", virtual_tokens=4, learning_rate=5e-2, **OPTIONS),
}
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")
AUTO = pytest.mark.usefixtures("auto_precision")
"""What is computed in, on every machine both of them."""
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_GPU)])


@DEVICES
@pytest.mark.parametrize("case", METHODS)
def test_an_adapter_learns_on_a_quantised_base(wide_model: Path, auto_precision: str, case: str, device: str) -> None:
    precision = case.partition(" ")[0]
    job = make_job(wide_model, METHODS[case], precision=precision, device=device)
    trained = train(job)
    assert sum(trained.losses[-6:]) < 0.97 * sum(trained.losses[:6])
    checkpoint = load_checkpoint(trained.folder, base=wide_model, precision=precision, device=device)
    assert job.dev is not None
    scorer = ChoiceScorer(checkpoint, job.prompting, job.dev.labels, job.evaluation)
    targets = {example.id: example.target for example in job.dev.examples}
    right = [answer.prediction == targets[answer.example_id] for answer in scorer.answer(job.dev.examples)]
    # What was selected is what was saved. Training computes the adapter in bf16, too, answering in fp32.
    tolerance = 1e-6 if auto_precision == "fp32" else 3.1 / len(right)
    assert sum(right) / len(right) == pytest.approx(trained.dev["accuracy"], abs=tolerance)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_gradients_are_those_of_what_the_weights_stand_for(wide_model: Path, precision: str) -> None:
    """Against a plain model that holds the dequantised weights, after an answer as at the end of an epoch."""
    from peft.utils.integrations import dequantize_module_weight

    quantised = load_checkpoint(wide_model, precision=precision, compute="fp32", device="cpu")
    plain = load_checkpoint(wide_model, precision="fp32", device="cpu")
    ids = torch.arange(3, 30).unsqueeze(0)
    with torch.no_grad():
        quantised.model(input_ids=ids)
        for name, layer in plain.model.model.named_modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.copy_(dequantize_module_weight(quantised.model.model.get_submodule(name)))
    gradients = []
    for checkpoint in (quantised, plain):
        torch.manual_seed(0)
        adapted = add_adapter(checkpoint, LORA, "tiny").train()
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
        adapted(input_ids=ids, labels=ids).loss.backward()
        gradients.append({name: p.grad for name, p in adapted.named_parameters() if p.requires_grad})
    ours, theirs = gradients
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], rtol=1e-2, atol=1e-3) for name in ours)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_where_bf16_is_native_it_is_what_is_computed_in(
    wide_model: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    spec = LORA.model_copy(update={"epochs": 1})
    losses = []
    for native, compute in (("0", "fp32"), ("1", "bf16")):
        monkeypatch.setenv("MLBASELINE_NATIVE_BF16", native)
        job = make_job(wide_model, spec, precision=precision)
        assert job.signature_fields()["training.compute_precision"] == compute
        trained = train(job)
        losses.append(trained.losses)
        model = load_checkpoint(trained.folder, base=wide_model, precision=precision, device="cpu").model
        assert model.get_input_embeddings().weight.dtype == dtype_of(compute)
    assert losses[1][0] == pytest.approx(losses[0][0], rel=0.1)
    assert sum(losses[1]) == pytest.approx(sum(losses[0]), rel=0.1)
    assert losses[1] != losses[0]


@AUTO
def test_a_killed_training_goes_on_to_the_same_weights(wide_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(wide_model, LORA.model_copy(update={"epochs": 1}), precision="int4")
    whole = train(job)
    monkeypatch.setenv("MLBASELINE_CACHE", str(whole.folder.parent / "other"))
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0.0)
    step = training.TrainingRun.step

    def until_the_third(self: Any, parts: Any) -> float:
        if self.state.step == 3:
            raise KeyboardInterrupt
        return step(self, parts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.TrainingRun, "step", until_the_third)
        train(job)
    assert train(job).weights_sha256 == whole.weights_sha256


def test_a_method_that_does_not_know_quantised_layers_is_refused(wide_model: Path) -> None:
    vera = OtherPeft(method="peft", config="VeraConfig", options={"r": 4}, learning_rate=1e-2, **OPTIONS)
    with pytest.raises(MlbaselineError, match="is not made for quantised weights"):
        train(make_job(wide_model, vera, precision="int8"))


SUITE = sentiment_suite(
    """
evaluation: {precision: PRECISION, max_length: 64, latency_sample: 1}
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: "MODEL"}}
  lora: {kind: peft, method: lora, base: zero_shot, rank: 4, epochs: 1, batch_size: 8, learning_rate: 2.0e-2}
  full: {kind: full, base: zero_shot, epochs: 1, batch_size: 8, learning_rate: 1.0e-3}
""",
    split="{train: 24, test: 20, seed: 1}",
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_data(tmp_path / "data.csv", 60)
    return tmp_path


def rung_of(home: Path, model: Path, name: str, precision: str) -> tuple[Rung, ResultTable]:
    """The rung and its answers, from a cache of their own or from what was kept."""
    suite = parse_suite(fill(SUITE, model=model, precision=precision), root=home)

    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=home)

    task = load_task(suite, fetched)
    (rung,) = build_rungs(RungContext(suite, task, fetched), name, [0])
    assert rung.open is not None
    opened = rung.open()
    assert "latency_unmerged_p50_s" not in {name for (name,) in opened.figures} or precision == "fp32"
    about = {"baseline": name, "seed": rung.seed, "signature": rung.signature, "kind": rung.kind}
    data = task.splits["test"]
    return rung, tabulate(data, opened.model.answer(data.examples), **about)


@AUTO
def test_a_signature_names_both_precisions_and_a_comparison_warns(home: Path, wide_model: Path) -> None:
    tables = {}
    for precision in ("fp32", "int8", "int4"):
        rung, tables[precision] = rung_of(home, wide_model, "zero_shot", precision)
        fields = rung.signature.fields
        compute = computed_in("int8", "cpu")
        assert fields["engine.precision"] == rung.params["evaluation.resolved_precision"] == precision
        quantised = {} if precision == "fp32" else {"engine.compute_precision": compute}
        assert {name: value for name, value in fields.items() if "compute_precision" in name} == quantised
        assert ("software.bitsandbytes" in rung.params) == bool(quantised)
        assert rung.params.get("evaluation.compute_precision") == quantised.get("engine.compute_precision")
    # The scores that are kept of each are its own, and near the plain ones: random weights lose more than trained ones.
    nats = {name: table.logliks(["negative", "neutral", "positive"]) for name, table in tables.items()}
    for precision, limit_nats in {"int8": 0.2, "int4": 3.0}.items():  # of 20 to 50 for each choice
        assert 1e-4 < abs(nats[precision] - nats["fp32"]).mean() < limit_nats
        (mismatch,) = require_comparable([tables["fp32"], tables[precision]])
        assert (mismatch.field, mismatch.ours, mismatch.theirs) == ("engine.precision", "fp32", precision)
        assert mismatch.severity == "warn"


def test_other_compute_warns_too(home: Path, wide_model: Path) -> None:
    _, table = rung_of(home, wide_model, "zero_shot", "int8")
    other = replace(table.signature, fields={**table.signature.fields, "engine.compute_precision": "fp16"})
    warnings = require_comparable([table, replace(table, signature=other)])
    assert [warning.field for warning in warnings] == ["engine.compute_precision"]


@AUTO
def test_all_weights_are_trained_as_they_are_and_asked_quantised(home: Path, wide_model: Path) -> None:
    plain, _ = rung_of(home, wide_model, "full", computed_in("int4", "cpu"))
    rung, table = rung_of(home, wide_model, "full", "int4")
    said = {name: value for name, value in rung.signature.fields.items() if "precision" in name}
    assert said["training.precision"] == said["engine.compute_precision"] == computed_in("int4", "cpu")
    assert said["engine.precision"] == "int4"
    trained = [name for name in rung.signature.fields if name.startswith("training.")]
    assert {name: plain.signature.fields[name] for name in trained} == {
        name: rung.signature.fields[name] for name in trained
    }, "the training itself is the same, and is done once"
    assert table.frame["error"].isna().all()


def test_vllm_is_refused_before_anything_is_loaded(home: Path, wide_model: Path) -> None:
    text = fill(SUITE, model=wide_model, precision="int4, generate_with: vllm")
    text = text.replace("choices: [negative, neutral, positive]", "max_new_tokens: 4").replace("choice", "generate")
    suite = parse_suite("metrics: [exact_match]\n" + text, root=home)

    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=home)

    with pytest.raises(MlbaselineError, match=r"generate_with: vllm computes with quantised weights"):
        build_rungs(RungContext(suite, load_task(suite, fetched), fetched), "zero_shot", [0])


@AUTO
def test_an_adapter_is_trained_and_asked_on_the_quantised_base(home: Path, wide_model: Path) -> None:
    rung, table = rung_of(home, wide_model, "lora", "int8")
    fields = rung.signature.fields
    assert (fields["training.precision"], fields["training.compute_precision"]) == ("int8", computed_in("int8", "cpu"))
    assert table.frame["error"].isna().all()
    assert json.dumps(dict(fields))
