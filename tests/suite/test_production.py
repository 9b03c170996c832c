"""Production baselines in the suite file: what goes together, and that no key gets in or out."""

from __future__ import annotations

import pytest

from mlbaseline.errors import SuiteError
from mlbaseline.suite import Endpoint, Production
from mlbaseline.suite.reading import parse_suite

SUITE = """
name: notes
task:
  kind: choice
  data: {source: notes.csv}
  columns: {text: note, target: label}
  prompt: "{text}"
  choices: [bad, good]
  split: {test: 1.0}
baselines:
  majority: {kind: trivial, strategy: majority}
  live: {kind: production, SPEC}
matrix: {primary: [{candidate: majority, over: [live]}]}
"""
URL = "endpoint: {url: 'http://localhost:8000', protocol: completions"


def spec_of(text: str) -> Production:
    spec = parse_suite(SUITE.replace("SPEC", text)).baselines["live"]
    assert isinstance(spec, Production)
    return spec


@pytest.mark.parametrize(
    ("url", "protocol", "address"),
    [
        ("http://localhost:5000", "mlflow", "http://localhost:5000/invocations"),
        ("http://localhost:5000/", "completions", "http://localhost:5000/v1/completions"),
        ("https://api.example/v1", "chat", "https://api.example/v1/chat/completions"),
        ("https://api.example/api/v1/chat/completions", "chat", "https://api.example/api/v1/chat/completions"),
    ],
)
def test_the_protocols_path_is_added_where_it_is_missing(url: str, protocol: str, address: str) -> None:
    assert Endpoint(url=url, protocol=protocol).address == address


def test_how_a_choice_is_made_follows_the_protocol() -> None:
    url = "http://localhost"
    assert [Endpoint(url=url, protocol=p).choosing for p in ("mlflow", "completions", "chat")] == [
        "label",
        "loglik",
        "generate",
    ]
    assert Endpoint(url=url, protocol="completions", choose_by="generate").choosing == "generate"


def test_randomness_needs_a_run_per_seed() -> None:
    assert not spec_of(URL + ", choose_by: generate}").is_random
    assert spec_of(URL + ", choose_by: generate, temperature: 0.7}").is_random
    assert not spec_of(URL + ", choose_by: generate, temperature: 0.7, seed: 3}").is_random
    assert not spec_of("uri: 'models:/notes@champion', optional: true").is_random


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("optional: true", "give one of `uri` (a registered model), `endpoint` and `recorded`"),
        ("uri: 'models:/a/1', " + URL + "}", "give one of"),
        ("uri: 'hf://a/b'", "baselines.live.uri: string should match pattern"),
        (URL + "}, optional: true", "`optional` goes with `uri`"),
        (URL + ", stream: true}", "`stream` goes with generation"),
        ("endpoint: {url: 'http://a', protocol: chat, choose_by: loglik}", "chat gives no log-likelihoods"),
        (
            "endpoint: {url: 'http://a', protocol: mlflow, temperature: 1}",
            "`temperature` goes with completions and chat",
        ),
        ("endpoint: {url: 'http://a', protocol: grpc}", "baselines.live.endpoint.protocol: input should be 'mlflow'"),
        ("endpoint: {url: localhost, protocol: chat}", "expected http(s)://HOST[:PORT][/PATH], got 'localhost'"),
        (URL + ", retries: -1}", "greater than or equal to 0"),
        (URL + ", timeout: 3}", "baselines.live.endpoint.timeout: unknown key, got 3"),
    ],
)
def test_what_does_not_go_together(spec: str, expected: str) -> None:
    with pytest.raises(SuiteError) as caught:
        spec_of(spec)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "api_key_env: sk-abc123",
        "api_key: sk-abc123",
        "headers: {Authorization: sk-abc123}",
        "url: 'https://sk-abc123@api.example/v1'",
        "url: 'https://api.example/v1?key=sk-abc123'",
    ],
)
def test_a_key_in_the_file_is_an_error_that_does_not_repeat_it(line: str) -> None:
    endpoint = {"url": "url: 'https://api.example'", "protocol": "protocol: chat"}
    endpoint[line.partition(":")[0]] = line
    with pytest.raises(SuiteError, match="environment variable") as caught:
        spec_of(f"endpoint: {{{', '.join(endpoint.values())}}}")
    assert "abc123" not in str(caught.value)


def test_what_may_be_missing_is_no_candidate() -> None:
    text = SUITE.replace("SPEC", "uri: 'models:/notes@champion', optional: true")
    with pytest.raises(SuiteError, match="'live' is optional: what may not exist cannot be a candidate"):
        parse_suite(text.replace("candidate: majority, over: [live]", "candidate: live, over: [majority]"))


def asked_for_texts(more: str = "", task: str = "") -> str:
    text = SUITE.replace("SPEC", f"{URL}{more}}}").replace("kind: choice", "kind: generate")
    return text.replace("  choices: [bad, good]\n", task)


def test_how_texts_are_written_is_said_by_the_task() -> None:
    assert parse_suite(asked_for_texts(", stream: true")).is_random("live") is False
    assert parse_suite(asked_for_texts(task="  temperature: 0.5\n")).is_random("live") is True
    given = ", choose_by: generate, max_new_tokens: 32, temperature: 0.0, seed: 1"
    with pytest.raises(SuiteError) as caught:
        parse_suite(asked_for_texts(given))
    for name, place in (
        ("choose_by", "`task.extract`"),
        ("max_new_tokens", "`task.max_new_tokens`"),
        ("temperature", "`task.temperature`"),
        ("seed", "`seeds`"),
    ):
        assert f"baselines.live.endpoint.{name}: is of choices" in str(caught.value)
        assert f"see {place}" in str(caught.value)
    with pytest.raises(SuiteError, match="`completions` is sent plain text"):
        parse_suite(asked_for_texts(task="  chat_template: true\n"))


def test_an_endpoint_is_not_asked_for_likelihoods_of_texts() -> None:
    text = SUITE.replace("SPEC", URL + "}").replace("kind: choice", "kind: perplexity")
    text = text.replace("  choices: [bad, good]\n", "").replace(', target: label}\n  prompt: "{text}"', "}")
    text = text.replace("strategy: majority", "strategy: stratified")
    with pytest.raises(SuiteError, match=r"baselines\.live\.endpoint: an endpoint is asked for choices and for texts"):
        parse_suite(text)
