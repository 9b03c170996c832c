"""Whatever an endpoint answers, over a real connection: each example gets one row, or the command one clear error."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.errors import EndpointError
from mlbaseline.models.endpoint import EndpointModel
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.models.endpoint.protocols import TextRequest, make_request_format
from mlbaseline.records import Answer, Example, Signature, TaskData
from mlbaseline.results import tabulate
from mlbaseline.suite import Endpoint
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.comparisons.hostile import mutated, searched
from tests.support.processes.http_server import RecordingServer, Response, events, serve

LABELS = ("bad", "good")
EXAMPLES = tuple(Example(f"e{n}", {"text": f"note {n}"}, "bad", LABELS) for n in range(3))
DATA = TaskData("test", EXAMPLES, LABELS, "d" * 64)
PROMPTS = ["note 0 =>", "note 0 => bad", "note 0 => good"]

USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "cost": 0.001}
CHAT = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "bad"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
CONSTRAINED = {**CHAT, "choices": [{"index": 0, "message": {"content": '{"answer": "bad"}'}, "finish_reason": "stop"}]}
COMPLETION = {"choices": [{"index": 0, "text": "bad", "finish_reason": "stop"}], "usage": USAGE}
ECHO = {
    "choices": [
        {"index": index, "text": text, "logprobs": {"token_logprobs": [None, *[-1.5] * (index + 2)]}}
        for index, text in enumerate(PROMPTS)
    ],
    "usage": USAGE,
}
INVOCATION = {"predictions": [{"label": "bad", "probability.bad": 0.75, "probability.good": 0.25}]}
DELTAS = [
    {"choices": [{"index": 0, "delta": {"content": "ba"}}]},
    {"choices": [{"index": 0, "delta": {"content": "d"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": USAGE},
]
FORMS: dict[str, tuple[dict[str, Any], Any]] = {
    "chat": ({"protocol": "chat"}, CHAT),
    "constrained": ({"protocol": "chat", "choose_by": "constrained", "model": "m"}, CONSTRAINED),
    "completions": ({"protocol": "completions", "choose_by": "generate"}, COMPLETION),
    "loglik": ({"protocol": "completions"}, ECHO),
    "mlflow": ({"protocol": "mlflow"}, INVOCATION),
    "stream": ({"protocol": "chat", "stream": True}, DELTAS),
    "text": ({"protocol": "chat"}, CHAT),
    "text of mlflow": ({"protocol": "mlflow"}, {"predictions": [{"raw": "bad", "text": "bad"}]}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RecordingServer]:
    with serve(lambda _: Response({})) as server:
        yield server


def ask(server: RecordingServer, form: str, response: Response, folder: Path) -> dict[str, Answer] | None:
    """Ask for three examples, and check what comes. None: a clear error instead."""
    options, _ = FORMS[form]
    server.answer = lambda _: response
    server.requests.clear()
    spec = Endpoint(url=server.url, timeout_s=5, retries=0, max_concurrency=1, **options)
    text = TextRequest(Decoding(max_new_tokens=8, extract="(b.d)")) if form.startswith("text") else None
    format = make_request_format(spec, Prompting("{text} =>"), ["text"], LABELS, spec.seed, text=text)
    model = EndpointModel(spec, format, AnswerJournal(folder / "answers.jsonl"), where="baselines.live.endpoint")
    try:
        answers = list(model.answer(EXAMPLES))
    except EndpointError as error:
        assert str(error).startswith("baselines.live.endpoint: ")
        assert len(str(error)) < 3_000
        return None
    data = DATA if text is None else TaskData("test", EXAMPLES, (), "d" * 64)
    # What became of the answers has a form that the table, its file and a comparison take.
    tabulate(data, answers, baseline="live", kind="production", seed=None, signature=Signature({})).save(folder)
    for answer in answers:
        assert (answer.error is None) == (answer.prediction is not None)
        assert answer.error is None or 0 < len(answer.error) < 3_000
        assert answer.tokens_in >= 0 and answer.tokens_out >= 0
        assert answer.cost_usd is None or answer.cost_usd >= 0
        assert text is not None or answer.prediction in (None, *LABELS)
    return {answer.example_id: answer for answer in answers}


@pytest.mark.parametrize("form", FORMS)
def test_the_replies_are_right_before_they_are_changed(server: RecordingServer, form: str, tmp_path: Path) -> None:
    reply = FORMS[form][1]
    answers = ask(server, form, events(*reply) if isinstance(reply, list) else Response(reply), tmp_path)
    assert answers is not None
    assert answers["e0"].prediction in ("bad", "good")


@pytest.mark.slow
@searched(12)
@given(st.data())
@pytest.mark.parametrize("form", FORMS)
def test_a_reply_with_changed_parts(server: RecordingServer, form: str, data: st.DataObject) -> None:
    reply = data.draw(mutated(FORMS[form][1]))
    # As clients of other languages read it: with NaN and infinities, and halves of characters.
    response = events(*reply) if form == "stream" and isinstance(reply, list) else Response(reply)
    with tempfile.TemporaryDirectory() as folder:
        ask(server, form, response, Path(folder))


@pytest.mark.slow
@searched(12)
@given(
    piece=st.binary(max_size=60),
    form=st.sampled_from(list(FORMS)),
    start=st.integers(0, 300),
    is_stream=st.booleans(),
    status=st.integers(200, 599),
)
def test_a_reply_with_changed_bytes(
    server: RecordingServer, *, piece: bytes, form: str, start: int, is_stream: bool, status: int
) -> None:
    valid = json.dumps(FORMS[form][1]).encode()
    body = valid[:start] + piece + valid[start + len(piece) :]
    kind = "text/event-stream" if is_stream else "application/json"
    with tempfile.TemporaryDirectory() as folder:
        ask(server, form, Response(body, 200 if status % 3 else status, content_type=kind), Path(folder))
