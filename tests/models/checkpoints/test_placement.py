"""A model in shards whose parts lie in memory and on disk answers with the bits of one that lies on one device.

No machine of the tests has a GPU, so that no part of a model is computed on another device than the others.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pytest
import torch
from packaging.version import Version

from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.scoring.perplexity import TextScorer
from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.models.checkpoints.placement import Placement, load_placed
from mlbaseline.records import Answer
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, PHRASES, SHOTS, TEMPLATE, make_examples
from tests.support.models.tiny_models import write_adapter

PARTS = {"model.embed_tokens": "cpu", "lm_head": "cpu", "model.rotary_emb": "cpu", "model.norm": "disk"}
PLACEMENTS = {
    "a block on disk": Placement({**PARTS, "model.layers.0": "cpu", "model.layers.1": "disk"}, {}),
    "all on disk": Placement({"": "disk"}, {}),
    "what fits": Placement("auto", {"cpu": "0.1MB"}),
}
EXAMPLES = make_examples(PHRASES, n=12)
WHOLE_ON_DISK = pytest.mark.skipif(
    Version(version("accelerate")) < Version("1.15"), reason="accelerate 1.10 wants a part of a model in memory"
)


@pytest.fixture(scope="module")
def shards(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, saved in several files."""
    folder = tmp_path_factory.mktemp("shards")
    whole = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    whole.model.save_pretrained(folder, max_shard_size="60KB")
    whole.tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def answers(checkpoint: Checkpoint, *, invariant: bool = False) -> dict[str, list[Answer]]:
    """Answers of every kind of task, in several batches, with a shared prefix, and with texts that end early."""
    options = Evaluation(batch_tokens=256, max_length=200, latency_sample=0, invariant=invariant)
    prompting, decoding = Prompting(TEMPLATE, SHOTS, 2), Decoding(max_new_tokens=10, samples=2, temperature=1.5)
    return {
        "choices": list(ChoiceScorer(checkpoint, prompting, LABELS, options).answer(EXAMPLES)),
        "perplexity": list(TextScorer(checkpoint, Prompting("{text}"), options, stride=8).answer(EXAMPLES)),
        "texts": list(Generator(checkpoint, prompting, decoding, options, seed=3).answer(EXAMPLES)),
    }


def bits(found: Mapping[str, list[Answer]]) -> dict[str, list[object]]:
    """What was computed, without the times that it took."""
    assert not [answer.error for each in found.values() for answer in each if answer.error]
    return {
        kind: sorted((a.example_id, a.prediction, a.loglik_nats, a.samples, sorted(a.sums.items())) for a in each)
        for kind, each in found.items()
    }


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    "named",
    [
        "a block on disk",
        pytest.param("all on disk", marks=WHOLE_ON_DISK),
        pytest.param("what fits", marks=WHOLE_ON_DISK),
    ],
)
@pytest.mark.parametrize(("precision", "invariant"), [("fp32", False), ("bf16", False), ("fp32", True)])
def test_answers_are_the_same_bits_wherever_the_parts_lie(
    tiny_model: Path, shards: Path, named: str, precision: Literal["fp32", "bf16"], invariant: bool
) -> None:
    plain = load_checkpoint(tiny_model, precision=precision, device="cpu")
    placed = load_placed(shards, precision=precision, placement=PLACEMENTS[named])
    assert {"disk"} <= set(placed.model.hf_device_map.values())
    assert torch.device("meta") in {parameter.device for parameter in placed.model.parameters()}
    assert bits(answers(placed, invariant=invariant)) == bits(answers(plain, invariant=invariant))


@WHOLE_ON_DISK
@pytest.mark.usefixtures("own_cache")
def test_an_adapter_is_merged_first_and_its_copy_goes_with_the_model(tiny_model: Path, tmp_path: Path) -> None:
    from mlbaseline.cache import cache_dir

    adapter = write_adapter(tiny_model, tmp_path / "adapter")
    plain = load_checkpoint(adapter, base=tiny_model, precision="fp32", device="cpu")
    placed = load_placed(adapter, base=tiny_model, precision="fp32", placement=PLACEMENTS["all on disk"])
    assert bits(answers(placed)) == bits(answers(plain))
    assert len(list(cache_dir().glob("offload-*"))) == 1
    del placed
    gc.collect()
    assert not list(cache_dir().glob("offload-*"))


@pytest.mark.usefixtures("own_cache")
def test_without_a_gpu_a_strategy_leaves_all_of_a_small_model_in_memory(shards: Path) -> None:
    checkpoint = load_placed(shards, precision="fp32", placement=Placement("auto", {}))
    assert {parameter.device.type for parameter in checkpoint.model.parameters()} == {"cpu"}
    assert checkpoint.device == "cpu"


@pytest.mark.usefixtures("own_cache")
def test_a_map_that_does_not_fit_is_an_error_that_names_it(shards: Path) -> None:
    missing = torch.cuda.device_count()
    with pytest.raises(MlbaselineError, match=rf"evaluation.device_map: expected GPUs of this machine.*got {missing};"):
        load_placed(shards, precision="fp32", placement=Placement({"": missing}, {}))
    with pytest.raises(
        AssetError, match=r"evaluation.device_map \(\{\"lm_head\": \"disk\"\}\).*does not give any device"
    ):
        load_placed(shards, precision="fp32", placement=Placement({"lm_head": "disk"}, {}))


def test_what_is_named_decides_what_computes() -> None:
    assert PLACEMENTS["a block on disk"].device == PLACEMENTS["what fits"].device == "cpu"
    assert Placement({"model": 1, "lm_head": 0, "x": "cpu"}, {}).gpus == (0, 1)
    assert Placement("balanced", {"1": "1GiB", "cpu": "9GiB"}).gpus == (1,)
    assert Placement("sequential", {}).gpus is None
