from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.assets import FetchedAsset, fetch
from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.engine.rungs import Rung, RungContext, SharedCheckpoint, build_rungs
from mlbaseline.engine.scoring import log_likelihood_scorer
from mlbaseline.errors import AssetError, DataError, MlbaselineError
from mlbaseline.judge.comparability import mismatches
from mlbaseline.records import Example
from mlbaseline.results import tabulate
from mlbaseline.suite import Asset, DistributedTraining, Suite
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import LoadedTask, load_task
from tests.support.ladders.choice_task import write_data
from tests.support.ladders.suites import fill, sentiment_suite

SUITE = sentiment_suite(
    """
metrics: [accuracy, nll_nats]
seeds: [0, 1]
evaluation: {batch_tokens: 512, max_length: 64, latency_sample: 2}
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  keyword: {kind: trivial, strategy: keyword, rules: {negative: bad}, default: positive}
  zero_shot: {kind: pretrained, model: {source: "MODEL"}}
  few_shot: {kind: pretrained, model: {source: "MODEL"}, shots: 2}
  sampled_shots: {kind: pretrained, model: {source: "MODEL"}, shots: {k: 2, sample: seed}}
  lora: {kind: peft, method: lora, base: zero_shot, rank: 4, epochs: 2, batch_size: 8, learning_rate: 2.0e-2}
  full: {kind: full, base: zero_shot, epochs: 2, batch_size: 8, learning_rate: 2.0e-3}
  annotator: {kind: human, agreement: agreement}
""",
    split="{train: 40, dev: 12, test: 20, seed: 1}",
)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def suite(tiny_model: Path, tmp_path: Path) -> Suite:
    write_data(tmp_path / "data.csv", 90, agreement=0.8)
    return parse_suite(fill(SUITE, model=tiny_model), root=tmp_path)


def rungs_of(suite: Suite, name: str, seeds: tuple[int, ...] = (0, 1), **options: Any) -> list[Rung]:
    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=suite.root)

    return build_rungs(RungContext(suite, load_task(suite, fetched), fetched, **options), name, seeds)


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("majority", [None]),
        ("uniform", [0, 1]),
        ("keyword", [None]),
        ("zero_shot", [None]),
        ("few_shot", [None]),
        ("sampled_shots", [0, 1]),
        ("lora", [0, 1]),
        ("full", [0, 1]),
        ("annotator", [None]),
    ],
)
def test_every_kind_answers_every_example_of_test(suite: Suite, name: str, seeds: list[int | None]) -> None:
    rungs = rungs_of(suite, name)
    assert [rung.seed for rung in rungs] == seeds
    for rung in rungs:
        opened = rung.open()
        data = load_task(suite, lambda asset: fetch(asset, root=suite.root)).splits["test"]
        table = tabulate(
            data,
            opened.model.answer(data.examples),
            baseline=rung.baseline,
            kind=rung.kind,
            seed=rung.seed,
            signature=rung.signature,
        )
        assert table.frame["error"].isna().all()
        assert (opened.trained is not None) == (rung.kind in ("peft", "full"))
        assert all(key.startswith(("baseline.", "evaluation.", "distributed.")) for key in rung.params)
        assert rung.params["baseline.kind"] == rung.kind


def test_all_rungs_of_a_suite_may_be_compared(suite: Suite) -> None:
    signatures = [rung.signature for name in suite.baselines for rung in rungs_of(suite, name)]
    assert not [m for ours in signatures for theirs in signatures for m in mismatches(ours, theirs)]
    assert len({signature.digest for signature in signatures}) == len(signatures)


def test_a_signature_is_known_before_anything_is_loaded(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("mlbaseline.models.checkpoints.checkpoint.load_checkpoint", refuse)
    monkeypatch.setattr("mlbaseline.engine.training.train.train", refuse)
    first = [rung.signature.digest for name in suite.baselines for rung in rungs_of(suite, name)]
    assert first == [rung.signature.digest for name in suite.baselines for rung in rungs_of(suite, name)]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("lora", {"learning_rate": 1e-3}),
        ("lora", {"rank": 8}),
        ("full", {"epochs": 1}),
        ("few_shot", {"shots": None}),
        ("keyword", {"default": "neutral"}),
    ],
)
def test_an_option_that_changes_answers_changes_the_signature(suite: Suite, name: str, change: dict[str, Any]) -> None:
    spec = suite.baselines[name].model_copy(update=change)
    changed = suite.model_copy(update={"baselines": {**suite.baselines, name: spec}})
    assert rungs_of(changed, name)[0].signature.digest != rungs_of(suite, name)[0].signature.digest


def test_a_trained_rung_says_who_has_which_part_of_the_model(suite: Suite) -> None:
    together = DistributedTraining(processes=2, strategy="fsdp", offload=True)
    spec = suite.baselines["full"].model_copy(update={"training": together, "gradient_checkpointing": True})
    changed = suite.model_copy(update={"baselines": {**suite.baselines, "full": spec}})
    alone, shared = (
        {key: value for key, value in rungs_of(each, "full")[0].params.items() if key.startswith("distributed.")}
        for each in (suite, changed)
    )
    assert alone == {
        "distributed.processes": 1,
        "distributed.training_processes": 1,
        "distributed.strategy": "none",
        "distributed.sharding": "none",
        "distributed.offload": False,
        "distributed.activation_checkpointing": False,
    }
    assert shared == {
        "distributed.processes": 1,
        "distributed.training_processes": 2,
        "distributed.strategy": "fsdp",
        "distributed.sharding": "weights, gradients, moments",
        "distributed.offload": True,
        "distributed.activation_checkpointing": True,
    }


def test_scores_are_kept_for_each_model_and_fresh_ignores_them(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    score_packed, scored = log_likelihood_scorer.score_packed, []  # type: ignore[attr-defined]  # imported there

    def counting(model: Any, groups: Any, prefix: Any, **options: Any) -> Any:
        scored.append(len(groups))
        return score_packed(model, groups, prefix, **options)

    monkeypatch.setattr(log_likelihood_scorer, "score_packed", counting)
    found = []
    for name in ("zero_shot", "lora"):
        for fresh in (False, False, True):
            scored.clear()
            rung = rungs_of(suite, name, (0,), fresh=fresh)[0]
            assert rung.open is not None
            model = rung.open().model
            scored.clear()  # what a training measured on dev
            data = load_task(suite, lambda asset: fetch(asset, root=suite.root)).splits["test"]
            found.append({answer.example_id: answer.loglik_nats for answer in model.answer(data.examples)})
            timed_alone = suite.evaluation.latency_sample
            assert sum(scored) == timed_alone + (0 if len(found) in (2, 5) else len(data.examples))
    assert found[0] == found[1] == found[2] != found[3]
    assert found[3] == found[4] == found[5]


def test_the_split_can_be_another_one(suite: Suite) -> None:
    (rung,) = rungs_of(suite, "zero_shot", split="dev")
    assert rung.signature.fields["data.split"] == "dev"


def test_a_missing_train_split_is_named(suite: Suite) -> None:
    task = load_task(suite, lambda asset: fetch(asset, root=suite.root))
    bare = LoadedTask({"test": task.splits["test"]}, task.counts)
    for name in ("few_shot", "lora"):
        with pytest.raises(DataError, match=rf"baselines.{name}: needs the split train"):
            build_rungs(RungContext(suite, bare, lambda asset: fetch(asset, root=suite.root)), name, (0,))


def test_a_folder_that_is_no_model_is_named_when_it_is_opened(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    spec = suite.baselines["zero_shot"].model_copy(update={"model": Asset(source="empty")})
    changed = suite.model_copy(update={"baselines": {"zero_shot": spec}})
    (rung,) = rungs_of(changed, "zero_shot")
    with pytest.raises(AssetError, match="is no model"):
        rung.open()


def test_rungs_that_ask_the_same_checkpoint_share_it_until_another_rung_opens(suite: Suite) -> None:
    shared = SharedCheckpoint()

    def open_(name: str, index: int = 0) -> tuple[Any, list[Any]]:
        opened = rungs_of(suite, name, shared_checkpoint=shared)[index].open
        assert opened is not None
        model: Any = opened().model
        return model._scorer._model, [
            replace(a, compute_s=0.0, latency_s=None, batch=None, reference_s=None)
            for a in model.answer(suite_data(suite))
        ]

    zero_shot, answers = open_("zero_shot")
    assert open_("sampled_shots", 1)[0] is open_("sampled_shots", 0)[0] is zero_shot
    assert open_("zero_shot") == (zero_shot, answers), "asking has changed nothing"
    majority = rungs_of(suite, "majority", shared_checkpoint=shared)[0].open
    assert majority is not None
    majority()
    again, same = open_("zero_shot")
    assert again is not zero_shot
    assert same == answers


def suite_data(suite: Suite) -> tuple[Example, ...]:
    return load_task(suite, lambda asset: fetch(asset, root=suite.root)).splits["test"].examples


def generating_by_vllm(suite: Suite, options: str = "") -> Suite:
    """The suite as a task of kind generate, zero-shot alone."""
    text = fill(SUITE, model=suite.baselines["zero_shot"].model.source)
    for old, new in (
        ("kind: choice", "kind: generate"),
        ("  choices: [negative, neutral, positive]\n", ""),
        ("metrics: [accuracy, nll_nats]", "metrics: [exact_match]"),
        ("latency_sample: 2", f"latency_sample: 2, generate_with: vllm{options}"),
    ):
        assert old in text
        text = text.replace(old, new)
    text = text[: text.index("  uniform:")] + text[text.index("  zero_shot:") : text.index("  few_shot:")]
    return parse_suite(text, root=suite.root)


def test_vllm_is_missed_before_anything_is_loaded(suite: Suite) -> None:
    # Where vLLM is installed, several processes of it are what is refused.
    with pytest.raises(
        MlbaselineError, match=r"evaluation\.generate_with: vllm (is not installed|takes the whole machine)"
    ):
        rungs_of(generating_by_vllm(suite), "zero_shot", processes=2)


def test_only_on_a_gpu_does_vllm_generate_invariantly_and_the_signature_says_so(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    invariant = generating_by_vllm(suite, ", invariant: true")
    monkeypatch.setattr("mlbaseline.engine.answering.default_device", lambda: "cpu")
    with pytest.raises(MlbaselineError, match=r"evaluation\.invariant: expected a GPU.*got cpu"):
        rungs_of(invariant, "zero_shot")
    on_a_gpu = AnsweringSpec(invariant.task, invariant.evaluation, "bf16", "cuda")
    assert on_a_gpu.engine_fields()["engine.invariant"] == "vllm"
    ours = invariant.evaluation.model_copy(update={"generate_with": "engine"})
    assert AnsweringSpec(invariant.task, ours, "bf16", "cuda").engine_fields()["engine.invariant"] is True


def test_a_model_on_several_devices_answers_alike_and_says_where_it_lies(suite: Suite) -> None:
    changed = suite.evaluation.model_copy(update={"device_map": "auto", "max_memory": {"cpu": "0.1MB"}})
    placed = suite.model_copy(update={"evaluation": changed})
    (plain,), (rung,) = (rungs_of(each, "zero_shot", (0,), keeps_results=False) for each in (suite, placed))
    assert rung.params["evaluation.device_map"] == rung.signature.fields["engine.device_map"] == 'auto {"cpu": "0.1MB"}'
    assert not [name for name in plain.params if "device_map" in name or "max_memory" in name]
    examples = load_task(suite, lambda asset: fetch(asset, root=suite.root)).splits["test"].examples
    found = [
        {answer.example_id: answer.loglik_nats for answer in each.open().model.answer(examples)}  # type: ignore[misc]
        for each in (plain, rung)
    ]
    assert found[0] == found[1]
    with pytest.raises(MlbaselineError, match=r"evaluation\.device_map: one model lies on all devices"):
        rungs_of(placed, "zero_shot", (0,), processes=2)
