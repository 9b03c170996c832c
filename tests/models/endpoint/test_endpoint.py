"""An endpoint over a real connection: what is sent, what is read, and what each fault becomes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.errors import EndpointError
from mlbaseline.models.endpoint import EndpointModel
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.models.endpoint.protocols import make_request_format
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Endpoint
from mlbaseline.tasks.prompting import Prompting
from tests.support.processes.http_server import RecordingServer, Response, chat, events, serve

LABELS = ("bad", "very good")
EXAMPLES = [
    Example(f"e{n:02}", {"text": f"note {n}", "label": "bad"}, "bad" if n % 2 else "very good", LABELS)
    for n in range(12)
]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., dict[str, Answer]]:
    """Ask an endpoint for the answers to all examples, or the first `n`; answers are kept from one call to the next."""

    def ask(server: RecordingServer | str, *, n: int = len(EXAMPLES), **options: Any) -> dict[str, Answer]:
        url = server if isinstance(server, str) else server.url
        given = {"protocol": "chat", "timeout_s": 5, "retries": 1, "max_concurrency": 2, **options}
        spec = Endpoint(url=url, **given)
        request_format = make_request_format(spec, Prompting("Note: {text}\nLabel:"), ["text"], LABELS, spec.seed)
        model = EndpointModel(
            spec, request_format, AnswerJournal(tmp_path / "kept.jsonl"), where="baselines.live.endpoint"
        )
        return {answer.example_id: answer for answer in model.answer(EXAMPLES[:n])}

    return ask


Ask = Callable[..., dict[str, Answer]]


def test_chat_shows_the_choices_and_reads_the_text(ask: Ask) -> None:
    with serve(lambda body: chat("**Very good**, I think.", prompt_tokens=20, completion_tokens=5)) as server:
        answers = ask(server, model="m", seed=7)
    assert {answer.prediction for answer in answers.values()} == {"very good"}
    first = answers["e00"]
    assert (first.tokens_in, first.tokens_out) == (20, 5)
    assert first.cost_usd is None
    assert first.latency_s is not None and 0 < first.latency_s < 5
    assert first.first_token_s is None
    body = server.requests[0]
    assert server.paths[0] == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["seed"], body["max_completion_tokens"]) == ("m", 0.0, 7, 32)
    (message,) = body["messages"]
    assert message["content"].startswith("Answer with one of these, and with nothing else: bad | very good.")
    assert message["content"].endswith("Note: note 0\nLabel:")
    assert "label" not in json.dumps(body)  # the target's column is nobody's to see


def test_a_cost_that_the_answer_states_is_the_cost(ask: Ask) -> None:
    with serve(lambda body: chat("bad", prompt_tokens=20, completion_tokens=5, cost=0.25)) as server:
        answers = ask(server, n=1)
    assert answers["e00"].cost_usd == 0.25


def test_a_stream_tells_the_first_token(ask: Ask) -> None:
    def piece(text: str, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}

    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}
    with serve(lambda body: events(piece(""), piece("very"), piece(" good"), piece("", "stop"), usage)) as server:
        answer = ask(server, n=1, protocol="completions", choose_by="generate", stream=True)["e00"]
    assert (answer.prediction, answer.tokens_in, answer.tokens_out) == ("very good", 9, 3)
    assert answer.first_token_s is not None and answer.latency_s is not None
    assert 0 < answer.first_token_s <= answer.latency_s
    assert server.requests[0]["stream_options"] == {"include_usage": True}
    with serve(lambda body: events(piece("very"))) as server, pytest.raises(EndpointError, match="broke off before"):
        ask(server, protocol="completions", choose_by="generate", stream=True, model="other", retries=0, n=2)


def test_constrained_generation_names_the_choices(ask: Ask) -> None:
    with serve(lambda body: chat('{"answer": "very good"}')) as server:
        assert ask(server, n=1, choose_by="constrained")["e00"].prediction == "very good"
    schema = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["answer"]["enum"] == ["bad", "very good"]


def test_constrained_generation_that_is_not_offered_is_said(ask: Ask) -> None:
    with (
        serve(lambda body: chat("very good")) as server,
        pytest.raises(EndpointError, match="set `choose_by: generate`"),
    ):
        ask(server, choose_by="constrained")
    assert len(server.requests) == 3


def test_log_likelihoods_are_those_behind_the_context(ask: Ask) -> None:
    """A made-up tokenizer: one token a word, of log-probability −1 for each letter."""

    def echo(body: Any) -> Response:
        choices = []
        for index, prompt in enumerate(body["prompt"]):
            values = [None, *(-float(len(word)) for word in prompt.split(" ")[1:])]
            choices.append({"index": index, "text": prompt, "logprobs": {"token_logprobs": values}})
        return Response({"choices": choices[::-1], "usage": {"prompt_tokens": 30}})

    with serve(echo) as server:
        answer = ask(server, n=1, protocol="completions")["e00"]
    assert answer.loglik_nats == (-3.0, -8.0)
    assert (answer.prediction, answer.tokens_in) == ("bad", 30)
    assert server.requests[0]["prompt"] == [f"Note: note 0\nLabel:{end}" for end in ("", " bad", " very good")]


def test_a_token_written_behind_the_echo_does_not_count(ask: Ask) -> None:
    def echo(body: Any) -> Response:
        choices = [
            {
                "index": i,
                "text": prompt + " more",
                "logprobs": {"token_logprobs": [None, *[-1.0] * prompt.count(" "), -9.0]},
            }
            for i, prompt in enumerate(body["prompt"])
        ]
        return Response({"choices": choices})

    with serve(echo) as server:
        assert ask(server, n=1, protocol="completions")["e00"].loglik_nats == (-1.0, -2.0)


@pytest.mark.parametrize("text", ["Note: note 0\nLabel:", "something else"])
def test_without_log_likelihoods_the_way_out_is_named(ask: Ask, text: str) -> None:
    choice = {"text": text, "logprobs": None if text.startswith("Note") else {"token_logprobs": [None, -1.0]}}
    with (
        serve(lambda body: Response({"choices": [{"index": i, **choice} for i in range(3)]})) as server,
        pytest.raises(EndpointError, match="set `choose_by: generate`"),
    ):
        ask(server, protocol="completions")


def test_mlflow_is_sent_the_prompts_columns(ask: Ask) -> None:
    row = {"label": "bad", "probability.bad": 0.75, "probability.very good": 0.25, "error": None}
    with serve(lambda body: Response({"predictions": [row]})) as server:
        answer = ask(server, n=1, protocol="mlflow")["e00"]
    assert server.paths == ["/invocations"]
    assert server.requests == [{"dataframe_records": [{"text": "note 0"}]}]
    assert answer.prediction == "bad"
    assert answer.loglik_nats == pytest.approx((-0.28768, -1.38629), abs=1e-4)


# ---- keys -----------------------------------------------------------------------------------------------------------


def test_the_key_comes_from_the_environment(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda body: chat("bad")) as server:
        with pytest.raises(EndpointError, match=r"LIVE_KEY .* is not set"):
            ask(server, api_key_env="LIVE_KEY")
        monkeypatch.setenv("LIVE_KEY", "secret-1234")
        ask(server, n=1, api_key_env="LIVE_KEY")
    assert server.headers[0]["Authorization"] == "Bearer secret-1234"


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_stops_at_once_and_is_not_repeated(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    monkeypatch.setenv("LIVE_KEY", "secret-1234")
    said = {"error": "Incorrect API key provided: secret-1234"}
    with (
        serve(lambda body: Response(said, status)) as server,
        pytest.raises(EndpointError, match=f"baselines.live.endpoint: .* refuses .*HTTP {status}") as caught,
    ):
        ask(server, api_key_env="LIVE_KEY", retries=5)
    assert len(server.requests) == 1
    assert "secret-1234" not in str(caught.value)
    assert not (tmp_path / "kept.jsonl").exists()


def test_a_key_that_is_withdrawn_stops_a_run(ask: Ask) -> None:
    def answer(body: Any) -> Response:
        return chat("bad") if len(server.requests) <= 3 else Response({}, 401)

    with serve(answer) as server, pytest.raises(EndpointError, match="refuses the key"):
        ask(server, max_concurrency=1)
    assert len(server.requests) == 4


# ---- an endpoint that is not what the suite says --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "message", "requests"),
    [
        (Response(b"<html>Sign in</html>", content_type="text/html"), r"with no JSON \(text/html\): '<html>Sign in", 3),
        (Response(b'{"choices": [{"mess'), "with JSON that breaks off", 3),
        (Response({"detail": "Not Found"}, 404), "knows no such address or model; check `url`, `protocol`", 1),
        (Response({"error": "model `m` does not exist"}, 404), "model `m` does not exist", 1),
        (Response({}, 405), "takes no such request at this address", 1),
        (Response({"detail": "Server is pinned to 'a'"}, 400), "Server is pinned to 'a'", 3),
        (Response({}, 308, headers={"Location": "https://elsewhere/"}), "leads on to https://elsewhere/", 1),
        (Response({"predictions": ["bad"]}), "expected 1 `choices`, got", 3),
        (Response({"choices": [{"index": 0, "text": "bad"}]}), "expected `message` in the choice", 3),
    ],
)
def test_another_server_than_the_suite_says(ask: Ask, response: Response, message: str, requests: int) -> None:
    with serve(lambda body: response) as server, pytest.raises(EndpointError, match=message):
        ask(server)
    assert len(server.requests) == requests


def test_nobody_listens(ask: Ask) -> None:
    with serve(lambda body: chat("bad")) as server:
        url = server.url
    with pytest.raises(EndpointError, match=r"(?s)Connect.*\(2 attempts\)\. Is it up, and `url` right\?"):
        ask(url)


def test_an_endpoint_that_hangs(ask: Ask) -> None:
    release = threading.Event()

    def hang(body: Any) -> Response:
        release.wait(10)
        return chat("bad")

    with serve(hang) as server:
        started = time.monotonic()
        with pytest.raises(EndpointError, match=r"no answer within 0\.2 s \(`timeout_s`\) \(2 attempts\)"):
            ask(server, timeout_s=0.2)
        assert time.monotonic() - started < 3
        release.set()


# ---- one answer among others ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (chat(""), "the answer is empty"),
        (chat(None), "the answer is empty"),
        (chat("I would rather not say"), "'I would rather not say', which begins with none of the choices"),
        (Response({"error": "context too long"}, 400), "context too long"),
    ],
)
def test_what_is_no_choice_is_an_error_row(ask: Ask, response: Response, message: str) -> None:
    with serve(lambda body: response if "note 4\n" in str(body["messages"][0]["content"]) else chat("bad")) as server:
        answers = ask(server)
    assert message in str(answers["e04"].error)
    assert not answers["e04"].unanswered
    assert [id for id, answer in answers.items() if answer.error] == ["e04"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_fault_that_passes_costs_another_attempt(ask: Ask, status: int) -> None:
    with serve(lambda body: chat("bad") if len(server.requests) > 1 else Response({}, status)) as server:
        answer = ask(server, n=1)["e00"]
    assert answer.prediction == "bad"
    assert len(server.requests) == 2


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_kept_and_is_no_latency(ask: Ask, as_date: bool) -> None:
    def answer(body: Any) -> Response:
        if len(server.requests) > 1:
            return chat("bad")
        # A date has whole seconds: of two from now, at least one is left.
        when = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=2), usegmt=True) if as_date else "1"
        return Response({}, 429, headers={"Retry-After": when})

    with serve(answer) as server:
        started = time.monotonic()
        found = ask(server, n=1)["e00"]
        waited_s = time.monotonic() - started
    assert 0.9 < waited_s < 4
    assert found.latency_s is not None and found.latency_s < 0.5


def test_a_server_that_asks_for_an_hour_is_not_waited_for(ask: Ask) -> None:
    busy = Response({}, 429, headers={"Retry-After": "3600"})
    with serve(lambda body: busy) as server, pytest.raises(EndpointError, match="asks to come back in 3600 s"):
        ask(server)
    assert len(server.requests) == 1


def test_a_line_that_goes_dead_within_an_answer(ask: Ask) -> None:
    cut = Response({"choices": []}, cut=5)
    with serve(lambda body: chat("bad") if len(server.requests) > 1 else cut) as server:
        assert ask(server, n=1)["e00"].prediction == "bad"


def test_as_many_at_once_as_the_suite_allows(ask: Ask) -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def answer(body: Any) -> Response:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.05)
        with lock:
            busy -= 1
        return chat("bad")

    with serve(answer) as server:
        ask(server, max_concurrency=3)
    assert most == 3


# ---- going on -------------------------------------------------------------------------------------------------------


def test_when_it_stops_answering_the_rest_is_not_asked_until_it_is_back(ask: Ask) -> None:
    def answer(body: Any) -> Response:
        return chat("bad") if len(server.requests) <= 5 else Response({}, 503)

    with serve(answer) as server:
        first = ask(server, retries=0, max_concurrency=1)
        asked = len(server.requests)
        assert sum(found.unanswered for found in first.values()) == 7
        assert asked == 5 + 3  # three in a row are the end
        assert sum("not sent: the endpoint stopped answering" in str(f.error) for f in first.values()) == 4
        server.answer = lambda body: chat("very good")
        second = ask(server, retries=0)
    assert len(server.requests) == asked + 7
    assert [found.prediction for found in second.values()].count("bad") == 5
    assert not any(found.error for found in second.values())


def test_what_is_kept_and_torn_or_edited_is_asked_again(ask: Ask, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    with serve(lambda body: chat("bad")) as server:
        before = ask(server, n=6)
        lines = kept.read_text().splitlines()
        lines[1] = lines[1].replace('"bad"', '"very good"')
        kept.write_text("\n".join(lines)[:-20])
        asked = len(server.requests)
        after = ask(server, n=6)
        assert len(server.requests) == asked + 2
        assert ask(server, n=6) == after
    assert len(server.requests) == asked + 2
    assert {id: answer.prediction for id, answer in after.items()} == {id: a.prediction for id, a in before.items()}
