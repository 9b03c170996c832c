"""The champion's signature is that of the rung that it was."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from mlbaseline.assets import fetch
from mlbaseline.engine.rungs import RungContext, TaskDescription, build_rungs
from mlbaseline.judge.comparability import mismatches, same_unit
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.serving.package import package_model
from mlbaseline.serving.registered_models import FACTS, PRODUCTION_VERSION, OwnModel
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import load_task
from mlbaseline.tasks.prompting import Prompting

SUITE = """
name: texts
task:
  kind: perplexity
  data: {{source: texts.csv}}
  columns: {{text: text}}
  stride: 8
  split: {{train: 12, dev: 4, test: 8, seed: 1}}
metrics: [token_perplexity, bits_per_byte]
evaluation: {{precision: fp32, max_length: 32, latency_sample: 0}}
baselines:
  zero_shot: {{kind: pretrained, model: {{source: {model}}}}}
  lora: {{kind: peft, method: lora, base: zero_shot, epochs: 1, learning_rate: 1.0e-2, rank: 4}}
  full: {{kind: full, base: zero_shot, epochs: 1, learning_rate: 1.0e-3}}
"""


@pytest.mark.parametrize("name", ["zero_shot", "lora", "full"])
def test_its_scores_per_token_are_comparable_with_those_of_the_same_tokenizer(
    name: str, tmp_path: Path, tiny_model: Path, own_cache: Path
) -> None:
    texts = [f"{tone} {word} {n}" for n in range(6) for tone in ("nice", "poor") for word in ("soup", "lamp")]
    pd.DataFrame({"text": texts}).to_csv(tmp_path / "texts.csv", index=False)
    suite = parse_suite(SUITE.format(model=tiny_model), root=tmp_path)
    fetched = partial(fetch, root=tmp_path)
    context = RungContext(suite, load_task(suite, fetched), fetched)
    (rung,) = build_rungs(context, name, [0])
    assert rung.open is not None
    opened = rung.open()
    answers = opened.model.answer(context.data.examples)
    about = {"baseline": name, "kind": rung.kind, "seed": rung.seed}
    table = tabulate(context.data, answers, signature=rung.signature, **about)

    package = package_model(tmp_path / "package", suite, table, opened.weights, opened.shots or ())
    folder = shutil.copytree(package.folders[""], tmp_path / "registered")
    if opened.weights is not None:
        shutil.copytree(opened.weights.folder, folder / "artifacts" / "served" / "weights")
    facts = {FACTS + "uri": "models:/m@champion", PRODUCTION_VERSION: "m/1"}
    champion = OwnModel(facts, folder, folder / "artifacts" / "served")
    task = TaskDescription(suite.task, Prompting(suite.task.prompt), (), ("text",), suite.evaluation)

    common = {
        key: value for key, value in rung.signature.fields.items() if key.startswith(("data.", "choices.", "metric."))
    }
    signature = type(rung.signature)({**common, **champion.signature_fields(task)})
    assert signature.fields["model.tokenizer_sha256"] == rung.signature.fields["model.tokenizer_sha256"]
    assert mismatches(rung.signature, signature) == ()
    served = ResultTable("champion", "production", None, signature, table.frame)
    assert same_unit("token_perplexity", [table, served])
    loaded = {answer.example_id: answer.sums["nats"] for answer in champion.open(task).answer(context.data.examples)}
    assert loaded == pytest.approx(dict(zip(table.frame["example_id"], table.frame["sum.nats"], strict=True)), rel=1e-4)
