"""The variance between runs is taken apart by the seeds of its sources."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from mlbaseline import assets
from mlbaseline.engine.randomness import RandomSource, random_sources
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import SuiteError
from mlbaseline.formats import duration
from mlbaseline.stats import crossed_variance
from mlbaseline.tasks import load_task, open_suite
from mlbaseline.workflows import evaluate
from mlbaseline.workflows.health.variance import VarianceDesign, audit_variance
from tests.support.ladders.suites import fill, rows_suite
from tests.support.ladders.written_data import write_jsonl

SUITE = rows_suite(
    """
metrics: [nll_nats, accuracy]
evaluation: {precision: fp32, batch_tokens: 512, latency_sample: 0}
seeds: [4, 5]
baselines:
  majority: {kind: trivial, strategy: majority}
  small: {kind: pretrained, model: MODEL}
  shown: {kind: pretrained, model: MODEL, shots: {k: 3, sample: seed}}
  lora: {kind: peft, method: lora, base: small, rank: 2, dropout: 0.1, epochs: 1, learning_rate: 5.0e-2, batch_size: 4}
  full: {kind: full, base: small, epochs: 1, learning_rate: 1.0e-3}
""",
    choices="[bad, quite good]",
    split="{train: 12, dev: 16, test: 10, seed: 1}",
)


@pytest.fixture
def suite(empty_database: Path, tmp_path: Path, own_cache: Path, tiny_model: Path) -> Path:
    labels = ("bad", "quite good")
    write_jsonl(tmp_path / "data.jsonl", [{"text": f"late again {n}", "label": labels[n % 2]} for n in range(60)])
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "suite.yaml").write_text(fill(SUITE, model=tiny_model), encoding="utf-8")
    return tmp_path / "suite.yaml"


def audited(suite: Path, design: VarianceDesign, **options: Any) -> tuple[Any, str]:
    result = audit_variance(suite, design=design, tracking_uri=f"sqlite:///{suite.parent / 'mlflow.db'}", **options)
    return result.document, result.text(False, 80)


def test_every_combination_is_run_and_its_variance_taken_apart(suite: Path) -> None:
    document, text = audited(suite, VarianceDesign(levels=2, n_examples=10), standard_error=1.0)
    assert (document["baseline"], document["metric"], document["split"]) == ("lora", "nll_nats", "dev")
    seeds = [(run["seeds"]["initialisation"], run["seeds"]["order"]) for run in document["runs"]]
    assert seeds == [(4, 4), (4, 5), (5, 4), (5, 5)]
    scores = np.reshape([run["score"] for run in document["runs"]], (2, 2))
    assert len(set(scores.ravel())) == 4, "each source alone changes what comes out"
    expected = crossed_variance(scores, ["initialisation", "order"])
    assert [each["variance"] for each in document["components"]] == [each.variance for each in expected.components]
    assert document["seeds"]["needed"] == expected.seeds_for(1.0)[0]
    assert "initialisation and order, together" in text and "10 examples of dev, 4 runs" in text
    assert "For a standard error of 1 over seeds" in text

    uri = f"sqlite:///{suite.parent / 'mlflow.db'}"
    run = MlflowClient(uri).get_run(document["run_id"])
    assert (run.data.tags["mlbaseline.kind"], run.data.tags["mlbaseline.status"]) == ("variance", "completed")
    assert run.data.metrics["variance/initialisation/share"] == document["components"][0]["share"]
    stored = Path(download_artifacts(run_id=document["run_id"], artifact_path="variance", tracking_uri=uri))
    stored_document = json.loads((stored / "variance.json").read_text("utf-8"))
    assert stored_document == {**document, "format_version": stored_document["format_version"]}


def test_how_long_the_runs_train_is_told_where_an_evaluation_tells(
    suite: Path, caplog: pytest.LogCaptureFixture
) -> None:
    design, uri = (
        VarianceDesign("lora", sources=("order",), levels=2, n_examples=4),
        f"sqlite:///{suite.parent}/mlflow.db",
    )
    with caplog.at_level("INFO", "mlbaseline"):
        audited(suite, design)
        assert "lora: 2 runs" in caplog.text and "train for about" not in caplog.text
        (evaluated,) = evaluate(suite, baselines=["lora"], seeds=[4], tracking_uri=uri).evaluations
        audited(suite, design)
    train_s = MlflowClient(uri).get_run(evaluated.run_id).data.metrics["train_s"]
    assert f"trained for {duration(train_s)}, so that these runs train for about {duration(2 * train_s)}" in caplog.text


def test_seeds_of_all_sources_are_the_seed_of_the_rung(suite: Path) -> None:
    """A run with seed 5 is that with seed 4 whose sources all have 5; results and keys of suites are what they were."""
    loaded = open_suite(suite)
    fetch = partial(assets.fetch, root=loaded.root)
    task = load_task(loaded, fetch)

    def answers(name: str, seed: int, **sources: int) -> list[tuple[float, ...]]:
        own = {RandomSource(source): value for source, value in sources.items()}
        context = RungContext(loaded, task, fetch, split="dev", keeps_results=False, source_seeds=own)
        (rung,) = build_rungs(context, name, [seed])
        assert rung.open is not None
        return [answer.loglik_nats for answer in rung.open().model.answer(context.data.examples)]

    assert answers("lora", 4, initialisation=5, order=5) == answers("lora", 5)
    assert answers("lora", 4, initialisation=5) != answers("lora", 5) != answers("lora", 4)
    assert answers("shown", 4, shots=5) == answers("shown", 5) != answers("shown", 4)


def test_a_single_source_and_the_sources_of_each_kind(suite: Path) -> None:
    loaded = open_suite(suite)
    sources = {name: [each.value for each in random_sources(loaded, name)] for name in loaded.baselines}
    expected = {"majority": [], "small": [], "shown": ["shots"], "lora": ["initialisation", "order"], "full": ["order"]}
    assert sources == expected
    document, _ = audited(suite, VarianceDesign("shown", levels=3, metric="accuracy"))
    (component,) = document["components"]
    assert (component["sources"], len(document["runs"]), document["n_examples"]) == (["shots"], 3, 16)
    assert document["examples_se"] > 0.0


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (VarianceDesign("small"), "no source of randomness that is drawn here; expected one of: shown, lora, full"),
        (VarianceDesign("lora", sources=["decoding"]), "unknown source 'decoding'; lora has: initialisation, order"),
        (VarianceDesign(metric="ece"), "unknown metric 'ece'; the suite has: nll_nats, accuracy"),
    ],
)
def test_what_cannot_be_varied_is_refused(suite: Path, design: VarianceDesign, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        audited(suite, design)
