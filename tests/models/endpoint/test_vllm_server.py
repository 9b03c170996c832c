"""Endpoint rungs of both kinds against a real `vllm serve`, beside our engine on the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlbaseline.assets import FetchedAsset, fetch
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import EndpointError
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import Asset
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.choice_task import LABELS, write_data
from tests.support.ladders.suites import fill, sentiment_suite
from tests.support.processes.servers import vllm_server

CHOICE = sentiment_suite(
    """
metrics: [accuracy, nll_nats]
evaluation: {precision: fp32, latency_sample: 0, max_length: 200}
baselines:
  ours: {kind: pretrained, model: {source: "MODEL"}}
  live: {kind: production, endpoint: {url: "URL", model: m, OPTIONS}}
""",
    split="{test: 20, seed: 1}",
)
TEXT = (
    CHOICE.replace("kind: choice", "kind: generate")
    .replace("[accuracy, nll_nats]", "[exact_match]")
    .replace("  choices: [negative, neutral, positive]\n", '  max_new_tokens: 9\n  stop: ["e", "\\n"]\n  TASK\n')
)

pytestmark = [pytest.mark.vllm, pytest.mark.usefixtures("own_cache")]


@pytest.fixture(scope="module")
def url(vllm_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("vllm-server") / "log"
    with vllm_server(vllm_model, log, precision="fp32", max_length=200) as url:
        yield url


@dataclass
class Asker:
    """Answers of both rungs of a suite, as tables."""

    folder: Path
    model: Path
    url: str

    def __call__(self, suite_text: str, options: str, *names: str, **values: object) -> list[ResultTable]:
        suite = parse_suite(
            fill(suite_text, model=self.model, url=self.url, options=options, **values), root=self.folder
        )

        def fetched(asset: Asset) -> FetchedAsset:
            return fetch(asset, root=self.folder)

        task = load_task(suite, fetched)
        data, tables = task.splits["test"], []
        for name in names:
            (rung,) = build_rungs(RungContext(suite, task, fetched), name, (0,))
            assert rung.open is not None
            answers = rung.open().model.answer(data.examples)
            about = {"kind": rung.kind, "seed": None, "signature": rung.signature}
            tables.append(tabulate(data, answers, baseline=name, **about))
        return tables


@pytest.fixture
def ask(tmp_path: Path, vllm_model: Path, url: str) -> Asker:
    write_data(tmp_path / "data.csv", 40)
    return Asker(tmp_path, vllm_model, url)


def test_log_likelihoods_are_those_of_the_engine(ask: Asker) -> None:
    ours, theirs = ask(CHOICE, "protocol: completions", "ours", "live")
    np.testing.assert_allclose(theirs.logliks(LABELS), ours.logliks(LABELS), atol=1e-3)
    assert theirs.frame["prediction"].tolist() == ours.frame["prediction"].tolist()
    assert not theirs.frame["error"].notna().any()
    assert (theirs.frame["tokens_in"] > 20).all()
    assert (theirs.frame["latency_s"] > 0).all()


@pytest.mark.parametrize(("protocol", "template"), [("completions", "false"), ("chat", "true")])
def test_greedy_texts_are_those_of_the_engine(ask: Asker, protocol: str, template: str) -> None:
    options = f"protocol: {protocol}, stream: true"
    ours, theirs = ask(TEXT, options, "ours", "live", task=f"chat_template: {template}")
    # At its last token, vLLM leaves the bytes of a character out that are not a whole one yet; white space before them
    # is then the end of the text, where a prediction has none.
    predictions = (table.frame["prediction"].str.rstrip("\ufffd").str.rstrip() for table in (ours, theirs))
    ours_whole, theirs_whole = (texts.tolist() for texts in predictions)
    assert theirs_whole == ours_whole
    assert len(set(ours_whole)) > 3
    assert (theirs.frame["first_token_s"] > 0).all(), "a stream tells when its first token came"


def test_constrained_answers_are_choices_although_the_model_knows_no_json(ask: Asker) -> None:
    (theirs,) = ask(CHOICE, "protocol: chat, choose_by: constrained, max_new_tokens: 100", "live")
    assert not theirs.frame["error"].notna().any(), theirs.frame["error"].dropna().tolist()
    assert set(theirs.frame["prediction"]) <= set(LABELS)


def test_samples_are_drawn_by_seed(ask: Asker) -> None:
    task = "temperature: 1.0\n  samples: 3"
    first, again = ask(TEXT, "protocol: completions", "live", "live", task=task)
    samples = first.frame["samples"].tolist()
    assert [list(texts) for texts in samples] == [list(texts) for texts in again.frame["samples"]]
    assert sum(len(set(texts)) > 1 for texts in samples) > 10


def test_what_the_server_refuses_is_said(ask: Asker) -> None:
    with pytest.raises(EndpointError, match=r"knows no such address or model; .*HTTP 404"):
        ask(CHOICE.replace("model: m,", "model: other,"), "protocol: completions", "live")
    rows = pd.read_csv(ask.folder / "data.csv")
    rows["text"] = [f"{text} {'very ' * 300 if index % 4 == 1 else ''}" for index, text in enumerate(rows["text"])]
    rows.to_csv(ask.folder / "data.csv", index=False)
    (theirs,) = ask(CHOICE, "protocol: completions", "live")
    errors = theirs.frame["error"].dropna()
    assert 0 < len(errors) < 20
    assert all("HTTP 400" in error and "200" in error for error in errors)
