"""A promoted model gives the answers that it was promoted for: loaded here, and served over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from mlbaseline.assets import FetchedAsset, fetch
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import AssetError, SignatureError
from mlbaseline.judge.comparability import require_comparable
from mlbaseline.records import Example, Promotion
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.serving.package import package_model
from mlbaseline.serving.registered_models import find_registered
from mlbaseline.serving.served import load_served
from mlbaseline.signing import SIGNED_BY, SigningKey
from mlbaseline.store.comparison_runs import find_comparison
from mlbaseline.store.comparisons import log_comparison
from mlbaseline.store.evaluations import EvaluatedModel, EvaluationFigures, log_evaluation, open_evaluation
from mlbaseline.store.registry.plan import plan_promotion
from mlbaseline.store.registry.promotion import promote
from mlbaseline.store.runs import find_evaluations
from mlbaseline.store.server.connection import Tracker, connect
from mlbaseline.store.server.references import resolve
from mlbaseline.store.server.tracking import open_run, suite_tags
from mlbaseline.suite import Asset, Suite
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.stored import COST, make_assessment
from tests.support.processes.servers import free_port, serving
from tests.support.signing_keys import write_key

SUITE = """
name: {name}
register_as: {name}-model
task:
  kind: choice
  data: {{source: notes.csv}}
  columns: {{text: note, target: label}}
  prompt: "Note: {{text}}\\nLabel:"
  choices: [bad, very good]
  split: {{train: 16, dev: 8, test: 16, seed: 1}}
metrics: [accuracy]
evaluation: {{batch_tokens: 256, precision: {precision}, max_length: 64}}
baselines:
  majority: {{kind: trivial, strategy: majority}}
  small: {{kind: pretrained, model: {{source: {model}}}}}
  few_shot: {{kind: pretrained, model: {{source: {model}}}, shots: {{k: 3, sample: seed}}}}
  lora: {{kind: peft, method: lora, base: small, epochs: 1, learning_rate: 1.0e-2, rank: 4}}
  full: {{kind: full, base: small, epochs: 1, learning_rate: 1.0e-3}}
  prefix: {{kind: peft, method: prefix_tuning, base: small, epochs: 1, learning_rate: 1.0e-2}}
  earlier: {{kind: full, model: {{source: earlier}}}}
matrix: {{primary: [{{candidate: {winner}, over: [majority], metric: accuracy}}]}}
"""


@pytest.fixture
def home(tmp_path: Path, tiny_model: Path, own_cache: Path) -> Path:
    """A folder with data, and the model under a path relative to it."""
    words = ["soup", "bread", "chair", "lamp", "train", "bus", "hotel", "room", "crew", "road"]
    rows = [
        (f"{tone} {word} {n}", label)
        for n, word in enumerate(words)
        for tone, label in (("nice", "very good"), ("poor", "bad"), ("great", "very good"), ("late", "bad"))
    ]
    pd.DataFrame(rows, columns=["note", "label"]).to_csv(tmp_path / "notes.csv", index=False)
    (tmp_path / "model").symlink_to(tiny_model)
    return tmp_path


@pytest.fixture
def wide_home(home: Path, wide_model: Path) -> Path:
    """The same, with a model that int4 can be computed of."""
    (home / "model").unlink()
    (home / "model").symlink_to(wide_model)
    return home


def promote_rung(
    server: str, home: Path, winner: str, precision: str = "fp32", key: SigningKey | None = None
) -> tuple[Tracker, Suite, Promotion, ResultTable]:
    """Train and evaluate a rung as workflows do, and promote it."""
    name = f"notes-{winner}-{os.urandom(3).hex()}"
    suite = parse_suite(SUITE.format(name=name, model="model", winner=winner, precision=precision), root=home)
    tracker = connect(server, suite.name)

    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=home)

    task = load_task(suite, fetched)
    data = task.splits["test"]
    (rung,) = build_rungs(RungContext(suite, task, fetched), winner, [0])
    about = {"baseline": winner, "seed": rung.seed, "signature": rung.signature}
    with open_evaluation(tracker, suite, **about, data=data, params=rung.params) as run:
        opened = rung.open()
        table = tabulate(data, opened.model.answer(data.examples), kind=rung.kind, **about)
        with TemporaryDirectory() as staging:
            logged = package_model(Path(staging), suite, table, opened.weights, opened.shots or ())
            model = EvaluatedModel(opened.weights, opened.trained, logged)
            figures = EvaluationFigures({"accuracy": 0.5}, {}, COST)
            log_evaluation(run, table, suite=suite, data=data, figures=figures, model=model)
    run_ids = {winner: {"1": run.run_id}}
    with open_run(tracker, "comparison", name="comparison", tags=suite_tags(suite)) as comparison:
        (home / "rendered").mkdir()
        assessment = make_assessment(suite, run_ids, candidate=winner)
        log_comparison(comparison, assessment, home / "rendered", suite=suite)
    found_comparison = find_comparison(tracker)
    assert found_comparison is not None
    plan = plan_promotion(tracker, suite, found_comparison, assessment, key=key)
    return tracker, suite, promote(tracker, suite, plan), table


def texts(home: Path, suite: Suite, table: ResultTable) -> list[str]:
    """The prompts' fields of the table's rows, as a client would send them."""
    data = load_task(suite, lambda asset: fetch(asset, root=home)).splits["test"]
    by_id = {example.id: example.fields["text"] for example in data.examples}
    return [by_id[example_id] for example_id in table.frame["example_id"]]


def assert_same_answers(answers: pd.DataFrame, table: ResultTable) -> None:
    assert answers["label"].tolist() == table.frame["prediction"].tolist()
    logliks = table.logliks(["bad", "very good"])
    assert logliks is not None
    expected = np.exp(logliks) / np.exp(logliks).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers[["probability.bad", "probability.very good"]], expected, atol=1e-6)
    assert answers["error"].isna().all()


def test_served_champion_answers_as_evaluated_and_a_null_with_an_error(server: str, home: Path) -> None:
    tracker, suite, promotion, table = promote_rung(server, home, "lora")
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
    command += ["--port", url.rpartition(":")[2], "-m", f"models:/{promotion.model}@champion"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server, "PYTHONPATH": str(Path.cwd())}
    # MLflow starts its scoring server by name; the environment of this Python need not be activated.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    asked = [[None], *([text] for text in texts(home, suite, table))]
    rows = {"dataframe_split": {"columns": ["text"], "data": asked}}
    with serving(command, f"{url}/ping", home / "serve.log", env=environment, cwd=home):
        request = urllib.request.Request(
            f"{url}/invocations", json.dumps(rows).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            refused, *answers = json.load(reply, parse_constant=pytest.fail)["predictions"]  # NaN is no JSON
    assert refused == {
        "label": None,
        "probability.bad": None,
        "probability.very good": None,
        "error": "text: expected a text, got null",
    }
    (run,) = find_evaluations(tracker)
    stored = pd.read_parquet(resolve(tracker, f"runs:/{run.run_id}/results/examples.parquet"))
    pd.testing.assert_frame_equal(stored, table.frame)
    assert_same_answers(pd.DataFrame(answers), table)


def test_full_fine_tune_stands_alone(server: str, home: Path) -> None:
    from mlflow.pyfunc import load_model

    _, suite, promotion, table = promote_rung(server, home, "full")
    (home / "model").unlink()
    model = load_model(f"models:/{promotion.model}/{promotion.version}")
    asked = pd.DataFrame({"text": texts(home, suite, table), "note": "not in the prompt"})
    assert_same_answers(model.predict(asked), table)
    assert [column.name for column in model.metadata.get_input_schema().inputs] == ["text"]


def test_prompted_model_is_served_with_its_examples_and_without_weights(server: str, home: Path) -> None:
    from mlflow.pyfunc import load_model

    tracker, suite, promotion, table = promote_rung(server, home, "few_shot")
    asked = pd.DataFrame({"text": texts(home, suite, table)})
    served = resolve(tracker, f"models:/{promotion.model}@champion/artifacts/served")
    assert [path.name for path in served.iterdir()] == ["served.json"]
    described = load_served(served)[0]
    assert len(described.shots) == 3
    assert_same_answers(load_model(f"models:/{promotion.model}@champion").predict(asked), table)
    description = json.loads((served / "served.json").read_text())
    (served / "served.json").write_text(json.dumps({**description, "shots": []}))  # without its examples it is another
    answers = {answer.example_id: answer for answer in load_served(served)[1].answer(_examples(asked))}
    logliks = table.logliks(["bad", "very good"])
    assert logliks is not None
    assert not np.allclose([answer.loglik_nats for answer in answers.values()], logliks, atol=1e-3)


def test_a_signed_model_is_served_where_its_key_is_asked_for(
    server: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.pyfunc import load_model

    key = SigningKey.read(write_key(home))
    _, suite, promotion, table = promote_rung(server, home, "few_shot", key=key)
    monkeypatch.setenv(SIGNED_BY, str(home / "release.pub"))
    asked = pd.DataFrame({"text": texts(home, suite, table)})
    assert_same_answers(load_model(f"models:/{promotion.model}@champion").predict(asked), table)
    monkeypatch.setenv(SIGNED_BY, str(write_key(home, "other").with_suffix(".pub")))
    with pytest.raises(SignatureError, match="is signed by another key"):
        load_model(f"models:/{promotion.model}@champion")


def _examples(asked: pd.DataFrame) -> list[Example]:
    return [
        Example(f"{n:04}", {"text": text}, "bad", ("bad", "very good")) for n, text in enumerate(asked["text"].tolist())
    ]


def test_prefix_is_served_as_evaluated(server: str, home: Path) -> None:
    from mlflow.pyfunc import load_model

    _, suite, promotion, table = promote_rung(server, home, "prefix")
    model = load_model(f"models:/{promotion.model}/{promotion.version}")
    assert_same_answers(model.predict(pd.DataFrame({"text": texts(home, suite, table)})), table)


def test_earlier_checkpoint_is_promoted_without_what_lies_beside_it(server: str, home: Path) -> None:
    from mlflow.pyfunc import load_model

    folder = Path(shutil.copytree(home / "model", home / "earlier"))
    for name in ("optimizer.pt", "pytorch_model.bin", "modeling.py"):
        (folder / name).write_bytes(b"not to be served")
    tracker, suite, promotion, table = promote_rung(server, home, "earlier")
    shutil.rmtree(folder)
    served = resolve(tracker, f"models:/{promotion.model}@champion/artifacts/served/weights")
    assert {path.suffix for path in served.iterdir()} == {".safetensors", ".json"}
    model = load_model(f"models:/{promotion.model}/{promotion.version}")
    assert_same_answers(model.predict(pd.DataFrame({"text": texts(home, suite, table)})), table)
    (run,) = find_evaluations(tracker)
    assert run.metrics["weights_bytes"] == (served / "model.safetensors").stat().st_size
    assert "trainable_params" not in run.metrics


def test_auto_is_served_as_it_was_resolved(
    server: str, home: Path, auto_precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On hardware where it would stand for the other precision, too."""
    from mlflow.pyfunc import load_model

    tracker, suite, promotion, table = promote_rung(server, home, "lora", "auto")
    monkeypatch.setenv("MLBASELINE_NATIVE_BF16", "0" if auto_precision == "bf16" else "1")
    uri = f"models:/{promotion.model}@champion"
    assert load_served(resolve(tracker, f"{uri}/artifacts/served"))[0].evaluation.precision == auto_precision
    assert_same_answers(load_model(uri).predict(pd.DataFrame({"text": texts(home, suite, table)})), table)


@pytest.mark.parametrize(("winner", "precision"), [("lora", "int4"), ("full", "int8")])
def test_quantised_model_is_served_quantised(
    server: str, wide_home: Path, auto_precision: str, winner: str, precision: str
) -> None:
    """In what it was evaluated in, and so is the champion where a later suite in another precision asks it."""
    pytest.importorskip("bitsandbytes", reason="quantised weights need bitsandbytes")
    from mlflow.pyfunc import load_model

    home = wide_home
    tracker, suite, promotion, table = promote_rung(server, home, winner, precision)
    uri = f"models:/{promotion.model}@champion"
    folder = resolve(tracker, uri)
    served = load_served(folder / "artifacts" / "served")[0]
    compute = table.signature.fields["engine.compute_precision"]
    assert compute == auto_precision
    assert (served.evaluation.precision, served.compute_precision) == (precision, compute)
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"bitsandbytes=={metadata.version('bitsandbytes')}" in requirements
    assert_same_answers(load_model(uri).predict(pd.DataFrame({"text": texts(home, suite, table)})), table)

    champion = f'  champion: {{kind: production, uri: "{uri}"}}\n'
    text = SUITE.format(name=suite.name, model="model", winner=winner, precision="fp32")
    later = parse_suite(text.replace("matrix:", champion + "matrix:"), root=home)

    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=home)

    task = load_task(later, fetched)
    context = RungContext(later, task, fetched, find_registered=lambda spec: find_registered(tracker, spec))
    tables = {}
    for name in ("champion", "small"):
        (rung,) = build_rungs(context, name, [0])
        about = {"baseline": name, "seed": rung.seed, "signature": rung.signature, "kind": rung.kind}
        data = task.splits["test"]
        tables[name] = tabulate(data, rung.open().model.answer(data.examples), **about)
    choices = ["bad", "very good"]
    np.testing.assert_allclose(tables["champion"].logliks(choices), table.logliks(choices), atol=1e-5)
    fields = tables["champion"].signature.fields
    assert (fields["engine.precision"], fields["engine.compute_precision"]) == (precision, compute)
    (warning,) = require_comparable([tables["champion"], tables["small"]])
    assert (warning.field, warning.ours, warning.theirs) == ("engine.precision", precision, "fp32")


def test_adapter_refuses_another_base(server: str, home: Path) -> None:
    tracker, _, promotion, _ = promote_rung(server, home, "lora")
    served = resolve(tracker, f"models:/{promotion.model}@champion/artifacts/served")
    assert load_served(served)[0].base == str((home / "model").resolve())
    description = json.loads((served / "served.json").read_text())
    (served / "served.json").write_text(json.dumps({**description, "base_sha256": "0" * 64}))
    with pytest.raises(AssetError, match="wrong checksum"):
        load_served(served)


def test_nothing_in_the_model_is_pickled(server: str, home: Path) -> None:
    tracker, _, promotion, _ = promote_rung(server, home, "lora")
    folder = resolve(tracker, f"models:/{promotion.model}@champion")
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert ".safetensors" in kinds
    assert not kinds & {".pkl", ".pickle", ".pt", ".pth", ".bin"}
    requirements = (folder / "requirements.txt").read_text()
    assert all(f"{name}==" in requirements for name in ("mlbaseline", "mlflow", "torch", "transformers", "peft"))
