"""Fine-tunes as rungs: what was trained here, and what is ready from earlier."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mlbaseline.assets import FetchedAsset, fetch
from mlbaseline.engine.rungs import OpenedRung, Rung, RungContext, build_rungs
from mlbaseline.engine.rungs.finetunes import _require_base
from mlbaseline.engine.training import shared_base as base
from mlbaseline.errors import AssetError, SuiteError
from mlbaseline.model_files import weights_sha256
from mlbaseline.suite import Asset
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.choice_task import make_examples, write_data
from tests.support.ladders.suites import fill, sentiment_suite

SUITE = sentiment_suite(
    """
evaluation: {batch_tokens: 512, max_length: 64, latency_sample: 2}
baselines:
  zero_shot: {kind: pretrained, model: {source: "MODEL"}}
  lora: {kind: peft, method: lora, base: zero_shot, rank: 4, epochs: 1, batch_size: 8, learning_rate: 2.0e-2}
  prompt: {kind: peft, method: prompt_tuning, base: zero_shot, epochs: 1, batch_size: 8, learning_rate: 2.0e-2}
  wrong: {kind: peft, method: peft, config: VeraConfig, options: {rank: 4}, base: zero_shot, learning_rate: 1.0e-2}
  ready: {kind: peft, adapter: {source: "ADAPTER"}, base: zero_shot}
  earlier: {kind: full, model: {source: "EARLIER"}}
""",
    split="{train: 24, test: 20, seed: 1}",
    data="DATA",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_data(folder / "data.csv", 60)
    return folder


@pytest.fixture(scope="module", autouse=True)
def shared_cache(home: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBASELINE_CACHE", str(home / "cache"))
        yield


def rung_of(
    home: Path,
    model: Path,
    name: str,
    adapter: Path | None = None,
    earlier: Path | None = None,
    *,
    text: str = SUITE,
) -> Rung:
    (rung,) = rungs_of(home, model, name, [0], adapter=adapter, earlier=earlier, text=text)
    return rung


def rungs_of(
    home: Path,
    model: Path,
    name: str,
    seeds: Sequence[int],
    *,
    adapter: Path | None = None,
    earlier: Path | None = None,
    text: str = SUITE,
) -> list[Rung]:
    paths = {"data": home / "data.csv", "model": model, "adapter": adapter or home, "earlier": earlier or home}
    suite = parse_suite(fill(text, **paths), root=home)

    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=home)

    return build_rungs(RungContext(suite, load_task(suite, fetched), fetched), name, seeds)


def opened(rung: Rung) -> OpenedRung:
    assert rung.open is not None
    return rung.open()


def nats_of(home: Path, model: Path, rung: OpenedRung) -> dict[str, tuple[float, ...]]:
    suite = parse_suite(fill(SUITE, data=home / "data.csv", model=model, adapter=home, earlier=home), root=home)
    data = load_task(suite, lambda asset: fetch(asset, root=home)).splits["test"]
    return {answer.example_id: answer.loglik_nats for answer in rung.model.answer(data.examples)}


@pytest.fixture(scope="module")
def lora(home: Path, tiny_model: Path, shared_cache: None) -> OpenedRung:
    return opened(rung_of(home, tiny_model, "lora"))


@pytest.fixture
def adapter(lora: OpenedRung, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    assert lora.weights is not None
    return shutil.copytree(lora.weights.folder, tmp_path / "adapter")


def test_an_adapter_is_timed_merged_and_beside_its_base(home: Path, tiny_model: Path, lora: OpenedRung) -> None:
    assert lora.trained is not None and lora.weights == lora.trained.weights
    assert lora.figures["latency_unmerged_p50_s",] > 0
    prompt = opened(rung_of(home, tiny_model, "prompt"))
    assert prompt.weights is not None and not prompt.figures, "there is nothing to merge"


def test_an_adapter_answers_where_another_engine_generates_which_takes_whole_models(
    home: Path, tiny_model: Path, adapter: Path
) -> None:
    text = SUITE.replace("kind: choice", "kind: generate").replace(
        "  choices: [negative, neutral, positive]\n", "  max_new_tokens: 4\n"
    )
    tables = {}
    for way in ("engine", "transformers"):
        chosen = text.replace("latency_sample: 2", f"latency_sample: 2, precision: fp32, generate_with: {way}")
        made = opened(rung_of(home, tiny_model, "ready", adapter=adapter, text=chosen))
        assert bool(made.figures) == (way == "engine"), "only ours can be timed with the adapter beside its base"
        tables[way] = {a.example_id: a.prediction for a in made.model.answer(make_examples())}
    assert tables["engine"] == tables["transformers"]


def test_seeds_that_are_trained_in_a_row_share_a_base_which_is_given_back(
    home: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    read, seeds = base.load_base, []  # type: ignore[attr-defined]  # imported there
    monkeypatch.setattr(base, "load_base", lambda job: seeds.append(job.seed) or read(job))
    rungs = rungs_of(home, tiny_model, "lora", [0, 1, 2])
    for rung in rungs:
        assert rung.prepare is not None
        rung.prepare()
    assert seeds == [0], "the others went on with the base of the first"
    assert base._cached_base
    assert len({str(opened(rung).weights) for rung in rungs}) == 3
    assert not base._cached_base
    assert seeds == [0], "all were trained already"


def test_a_ready_adapter_answers_as_when_it_was_trained(
    home: Path, tiny_model: Path, lora: OpenedRung, adapter: Path
) -> None:
    rung = rung_of(home, tiny_model, "ready", adapter=adapter)
    ready = opened(rung)
    assert (rung.seed, ready.trained) == (None, None)
    assert ready.weights is not None and lora.weights is not None
    assert ready.weights.sha256 == lora.weights.sha256 == weights_sha256(adapter)
    assert ready.figures["latency_unmerged_p50_s",] > 0
    assert nats_of(home, tiny_model, ready) == nats_of(home, tiny_model, lora)
    assert rung.params["baseline.base_model.source"] == str(tiny_model)
    changed = load_file(adapter / "adapter_model.safetensors")
    from safetensors.torch import save_file

    save_file({name: 2 * tensor for name, tensor in changed.items()}, adapter / "adapter_model.safetensors")
    assert rung_of(home, tiny_model, "ready", adapter=adapter).signature != rung.signature


def test_an_adapter_for_other_weights_is_refused_by_content(home: Path, tiny_model: Path, adapter: Path) -> None:
    (adapter / "base.json").write_text(json.dumps({"source": "elsewhere", "sha256": "a" * 64}), encoding="utf-8")
    with pytest.raises(AssetError, match=r"baselines\.ready: .* is an adapter for another base: expected .*Name that"):
        rung_of(home, tiny_model, "ready", adapter=adapter)


def test_an_adapter_for_another_model_of_a_hub_is_refused_by_name(tiny_model: Path, adapter: Path) -> None:
    (adapter / "base.json").unlink()
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "org/small"
    (adapter / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    base = FetchedAsset(tiny_model, "0" * 64)
    _require_base(adapter, base, "hf://org/small@main", "baselines.x")
    _require_base(adapter, base, "models/small", "baselines.x")  # nothing is known against it
    with pytest.raises(AssetError, match=r"expected hf://org/large, it was trained on org/small"):
        _require_base(adapter, base, "hf://org/large", "baselines.x")


@pytest.mark.parametrize("layers", [1, 3])
def test_an_adapter_for_another_shape_is_refused(
    home: Path, tiny_model: Path, adapter: Path, tmp_path: Path, layers: int
) -> None:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    (adapter / "base.json").unlink()
    config = LlamaConfig.from_pretrained(tiny_model)
    config.num_hidden_layers = layers
    LlamaForCausalLM(config).save_pretrained(tmp_path / "other")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "other")
    rung = rung_of(home, tmp_path / "other", "ready", adapter=adapter)
    said = {1: "of its weights have no place in it", 3: "places of it get no weights"}[layers]
    with pytest.raises(AssetError, match=f"the adapter does not fit its base: .*{said}.*is this the base"):
        opened(rung)


def test_what_is_no_adapter_is_said_to_be_none(home: Path, tiny_model: Path, adapter: Path) -> None:
    with pytest.raises(AssetError, match=r"expected a folder with adapter_config.json, .*a rung of kind `full`"):
        rung_of(home, tiny_model, "ready", adapter=tiny_model)
    torch.save({}, adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(AssetError, match=r"its weights in adapter_model.safetensors \(a pickle is never read\)"):
        rung_of(home, tiny_model, "ready", adapter=adapter)
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(AssetError, match=r"is no adapter: .* got: adapter_model.bin"):
        rung_of(home, tiny_model, "ready", adapter=adapter)


def test_an_earlier_checkpoint_stands_as_it_is(home: Path, tiny_model: Path, adapter: Path) -> None:
    rung = rung_of(home, tiny_model, "earlier", earlier=tiny_model)
    earlier = opened(rung)
    assert (rung.seed, earlier.trained, dict(earlier.figures)) == (None, None, {})
    assert earlier.weights is not None and earlier.weights.folder == tiny_model
    zero_shot = opened(rung_of(home, tiny_model, "zero_shot"))
    assert nats_of(home, tiny_model, earlier) == nats_of(home, tiny_model, zero_shot)
    with pytest.raises(AssetError, match="is an adapter, not a whole model"):
        opened(rung_of(home, tiny_model, "earlier", earlier=adapter))


def test_an_option_that_peft_does_not_have_stands_at_its_path(home: Path, tiny_model: Path) -> None:
    with pytest.raises(SuiteError, match=r"baselines\.wrong\.options\.rank"):
        rung_of(home, tiny_model, "wrong")
