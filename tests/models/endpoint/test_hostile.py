"""What an endpoint may send that no well-behaved one does: each costs one row, and no reply gives the key away."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.errors import EndpointError
from mlbaseline.models.endpoint import EndpointModel
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.models.endpoint.api_keys import KEY_HOSTS, read_key
from mlbaseline.models.endpoint.protocols import TextRequest, make_request_format
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Endpoint
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.processes.http_server import Response, chat, events, serve

LABELS = ("bad", "good")
EXAMPLES = [Example(f"e{n}", {"text": f"note {n}"}, "bad", LABELS) for n in range(4)]
KEY = "sk-TopSecret/0123456789"


def answers_of(
    folder: Path, answer: Callable[[Any], Response], *, decoding: Decoding | None = None, **options: Any
) -> dict[str, Answer]:
    with serve(answer) as server:
        given = {"protocol": "chat", "timeout_s": 5, "retries": 0, "max_concurrency": 1, **options}
        spec = Endpoint(url=server.url, api_key_env="HOSTED_KEY", **given)
        request_format = make_request_format(
            spec,
            Prompting("Note: {text}\nLabel:"),
            ["text"],
            LABELS,
            spec.seed,
            text=TextRequest(decoding) if decoding else None,
        )
        model = EndpointModel(spec, request_format, AnswerJournal(folder / "answers.jsonl"), where="baselines.live")
        return {row.example_id: row for row in model.answer(EXAMPLES)}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTED_KEY", KEY)


def reply(**changed: Any) -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": "bad"}, "finish_reason": "stop"}
    return Response({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1}, **changed})


def message(content: Any) -> Response:
    return Response({"choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]})


ODD = {
    "tokens that are no number": reply(usage={"prompt_tokens": "many", "completion_tokens": 1}),
    "negative tokens": reply(usage={"prompt_tokens": -5, "completion_tokens": 1}),
    "a negative cost": reply(usage={"prompt_tokens": 3, "completion_tokens": 1, "cost": -0.01}),
    "an infinite cost": Response(b'{"choices": [], "usage": {"cost": Infinity}}'),
    "a cost beyond any budget": reply(usage={"prompt_tokens": 3, "completion_tokens": 1, "cost": 1e300}),
    "a truth value for a cost": reply(usage={"prompt_tokens": 3, "completion_tokens": 1, "cost": True}),
    "a number for a text": message(5),
    "a list for a text": message(["bad"]),
    "a list for a document": Response(["bad"]),
    "a text for choices": Response({"choices": "bad"}),
    "a number for a message": Response({"choices": [{"index": 0, "message": 5}]}),
    "a deep document": Response(b'{"choices": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "a number of 5,000 digits": Response(b'{"choices": ' + b"1" * 5_000 + b"}"),
    "a large reply": Response(b'{"choices": "' + b"x" * (17 << 20) + b'"}'),
    "a small reply that opens to a large one": Response(
        gzip.compress(b"x" * (64 << 20)), headers={"Content-Encoding": "gzip"}
    ),
    "bytes that are no text": Response(b"\xff\xfe\x00"),
    "nothing": Response(b""),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_reply_costs_one_row(tmp_path: Path, odd: Response) -> None:
    answers = answers_of(tmp_path, lambda body: odd if "note 2" in json.dumps(body) else chat("good", prompt_tokens=3))
    assert answers["e2"].prediction is None
    assert answers["e2"].error
    assert len(answers["e2"].error) < 1_000
    assert [answers[id].prediction for id in ("e0", "e1", "e3")] == ["good"] * 3


@pytest.mark.parametrize("event", [{"choices": 5}, {"choices": [5]}, {"choices": [{"delta": 5}]}, {"usage": []}])
def test_an_odd_event_costs_one_row_at_most(tmp_path: Path, event: Any) -> None:
    def piece(text: str, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}

    answers = answers_of(tmp_path, lambda body: events(piece("go"), event, piece("od", "stop")), stream=True)
    assert {answer.prediction for answer in answers.values()} <= {"good", None}
    assert all(answer.error for answer in answers.values() if answer.prediction is None)


def test_a_pattern_without_end_costs_one_row(tmp_path: Path) -> None:
    decoding = Decoding(max_new_tokens=8, extract=r"^(a|aa)+$")
    answers = answers_of(
        tmp_path, lambda body: chat("a" * 60 + "b" if "note 2" in json.dumps(body) else "aaa"), decoding=decoding
    )
    assert "more than 1 s" in str(answers["e2"].error)
    assert answers["e3"].prediction == "a"


LEAKS = {
    "an answer": chat(f"bad {KEY}"),
    "an escaped answer": Response(json.dumps(chat(f"bad {KEY}").body).replace("s", "\\u0073").encode()),
    "a refusal": Response({"error": {"message": "x" * 290 + KEY}}, status=400),
    "a refusal without form": Response(f"no such key: {KEY}".encode(), status=400, content_type="text/plain"),
    "a failure": Response({"error": KEY}, status=500),
    "a redirect": Response({}, status=307, headers={"Location": f"http://127.0.0.1/?key={KEY}"}),
    "no JSON": Response(("x" * 110 + KEY).encode(), content_type=f"text/plain; {KEY}"),
    "JSON that breaks off": Response(f'{{"choices": "{KEY}'.encode()),
    "another form": Response({KEY: [KEY]}),
    "a key in its usage": reply(usage={"prompt_tokens": KEY}),
    "a stream in pieces": events(
        *({"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in ("bad ", KEY[:9], KEY[9:])),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ),
    "a stream that breaks off": Response(f'data: {{"choices": "{KEY}\n\n'.encode(), content_type="text/event-stream"),
    "a stream with an error": events({"error": {"message": KEY}}),
    "a line that is no header": Response(b"", headers={"X-Key": KEY}, cut=0),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_the_key_stands_in_no_answer_error_or_file(
    tmp_path: Path, leak: Response, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stream = leak.content_type == "text/event-stream"

    def respond(body: Any) -> Response:
        if "note 0" in json.dumps(body):
            done = {"choices": [{"index": 0, "delta": {"content": "good"}, "finish_reason": "stop"}]}
            return events(done) if stream else chat("good")
        return leak

    try:
        answers = answers_of(tmp_path, respond, stream=stream)
        shown = json.dumps([asdict(answer) for answer in answers.values()], ensure_ascii=False)
    except EndpointError as error:
        shown = str(error)
    files = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    for text in (shown, files, caplog.text):
        assert KEY not in text
        assert KEY[3:12] not in text


@pytest.mark.parametrize(
    ("url", "allowed", "refused"),
    [
        ("https://api.example.com/v1", "", r"api.example.com may not see .*MLBASELINE_KEY_HOSTS='HOSTED_KEY=api"),
        ("https://api.example.com/v1", "OTHER_KEY=api.example.com", "may not see"),
        ("https://evil.com/api.example.com", "HOSTED_KEY=api.example.com", "evil.com may not see"),
        ("https://example.com.evil.com", "HOSTED_KEY=*.example.com", "may not see"),
        ("https://notexample.com", "HOSTED_KEY=*.example.com", "may not see"),
        ("http://api.example.com/v1", "HOSTED_KEY=api.example.com", "expected https"),
        ("https://api.example.com/v1", "api.example.com", r"expected VARIABLE=HOST.*got 'api.example.com'"),
        ("https://api.example.com/v1", "OTHER_KEY=x HOSTED_KEY=x,API.example.com", None),
        ("https://eu.example.com/v1", "HOSTED_KEY=*.example.com", None),
        ("http://127.0.0.1:8000", "", None),
        ("http://localhost:8000", "", None),
        ("http://[::1]:8000", "", None),
    ],
)
def test_a_suite_cannot_choose_who_sees_a_key(
    monkeypatch: pytest.MonkeyPatch, url: str, allowed: str, refused: str | None
) -> None:
    monkeypatch.setenv(KEY_HOSTS, allowed)
    spec = Endpoint(url=url, protocol="chat", api_key_env="HOSTED_KEY")
    if refused is None:
        assert read_key(spec, "baselines.live.endpoint") == KEY
        return
    with pytest.raises(EndpointError, match=refused) as error:
        read_key(spec, "baselines.live.endpoint")
    assert KEY not in str(error.value)
