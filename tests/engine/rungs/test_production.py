"""An endpoint that tells the log-probabilities of its prompt chooses as the engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mlbaseline.assets import FetchedAsset, fetch
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import DataError
from mlbaseline.judge.comparability import mismatches
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import Asset
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.choice_task import make_data
from tests.support.ladders.suites import fill, sentiment_suite
from tests.support.models.tiny_models import write_chat_model
from tests.support.processes.http_server import Response, serve

SUITE = sentiment_suite(
    """
metrics: [accuracy, nll_nats]
seeds: [0, 1]
evaluation: {precision: fp32, latency_sample: 0}
baselines:
  zero_shot: {kind: pretrained, model: {source: "MODEL"}}
  live: {kind: production, endpoint: {url: "URL", protocol: completions, model: m}}
  hot: {kind: production, endpoint: {url: "URL", protocol: chat, temperature: 0.7}}
  champion: {kind: production, uri: "models:/m@champion"}
""",
    split="{test: 20, seed: 1}",
)

pytestmark = pytest.mark.usefixtures("own_cache")


class Echo:
    """A checkpoint behind the protocol completions, with `echo` and `logprobs`, as vLLM does it."""

    def __init__(self, folder: Path) -> None:
        self._checkpoint = load_checkpoint(folder, precision="fp32", device="cpu")

    def __call__(self, body: Any) -> Response:
        choices = [
            {"index": index, "text": prompt, "logprobs": {"token_logprobs": self._logprobs(prompt)}}
            for index, prompt in enumerate(body["prompt"])
        ]
        return Response({"choices": choices, "usage": {"prompt_tokens": 1}})

    def _logprobs(self, prompt: str) -> list[float | None]:
        tokens = torch.tensor([self._checkpoint.tokenizer(prompt)["input_ids"]])
        with torch.no_grad():
            found = self._checkpoint.model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
        return [None, *found.gather(1, tokens[0, 1:, None])[:, 0].tolist()]


def test_log_likelihoods_over_http_are_those_of_the_engine(tiny_model: Path, tmp_path: Path) -> None:
    rows = [
        {"text": f"{example.fields['text']} {index}", "target": example.target}
        for index, example in enumerate(make_data("any", 40).examples)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "data.csv", index=False)

    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=tmp_path)

    with serve(Echo(tiny_model)) as server:
        suite = parse_suite(fill(SUITE, model=tiny_model, url=server.url), root=tmp_path)
        task = load_task(suite, fetched)
        context = RungContext(suite, task, fetched)
        tables = {}
        for name in ("zero_shot", "live"):
            (rung,) = build_rungs(context, name, (0, 1))
            assert rung.open is not None
            data, about = task.splits["test"], {"kind": rung.kind, "seed": None, "signature": rung.signature}
            tables[name] = tabulate(data, rung.open().model.answer(data.examples), baseline=name, **about)
    assert len(server.requests) == 20
    ours, theirs = (logliks(tables[name]) for name in ("zero_shot", "live"))
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    assert tables["live"].frame["prediction"].tolist() == tables["zero_shot"].frame["prediction"].tolist()
    found = mismatches(tables["zero_shot"].signature, tables["live"].signature)
    assert {mismatch.severity for mismatch in found} == {"warn"}
    assert {mismatch.field for mismatch in found} == {"engine.version", "engine.precision"}
    assert (rung.external_device, rung.signature.fields["model.choose_by"]) == ("remote", "loglik")
    assert [rung.seed for rung in build_rungs(context, "hot", (0, 1))] == [0, 1]
    with pytest.raises(DataError, match="no connection to one"):
        build_rungs(context, "champion", (0,))


@pytest.mark.parametrize("conversation", ["", "  chat_template: true\n  system: Judge.\n"])
def test_texts_over_http_are_comparable_with_those_of_the_engine(
    conversation: str, tiny_model: Path, tmp_path: Path
) -> None:
    rows = [
        {"text": f"{e.fields['text']} {n}", "target": e.target} for n, e in enumerate(make_data("any", 40).examples)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "data.csv", index=False)

    def fetched(asset: Asset) -> FetchedAsset:
        return fetch(asset, root=tmp_path)

    model = write_chat_model(tiny_model, tmp_path / "write_chat_model") if conversation else tiny_model
    text = fill(SUITE, model=model, url="http://localhost:1")
    text = text.replace("kind: choice", "kind: generate").replace("[accuracy, nll_nats]", "[exact_match]")
    text = text.replace("  choices: [negative, neutral, positive]\n", conversation + '  stop: ["\\n"]\n')
    text = text.replace(", temperature: 0.7", "")
    if conversation:
        text = text.replace("protocol: completions", "protocol: chat")
    suite = parse_suite(text, root=tmp_path)
    task = load_task(suite, fetched)
    context = RungContext(suite, task, fetched)
    (ours,) = build_rungs(context, "zero_shot", (0, 1))
    for name in ("live", "hot"):
        (theirs,) = build_rungs(context, name, (0, 1))
        found = {m.field: m.severity for m in mismatches(ours.signature, theirs.signature)}
        chats = {"prompt.chat_template"} if "chat" in str(theirs.signature.fields["model.protocol"]) else set()
        assert found == dict.fromkeys({"engine.version", "engine.precision", "generation.version"} | chats, "warn")


def logliks(table: ResultTable) -> np.ndarray:
    found = table.logliks(["negative", "neutral", "positive"])
    assert found is not None
    return found
