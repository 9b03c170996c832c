"""An endpoint that is asked for texts: what is sent for each sample, and what of its texts is the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.models.endpoint import EndpointModel
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.models.endpoint.protocols import TextRequest, make_request_format
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Endpoint
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.processes.http_server import RecordingServer, Response, chat, completion, events, serve

EXAMPLES = [Example(f"e{n}", {"text": f"{n} + 1"}, str(n + 1), ()) for n in range(3)]
Ask = Callable[..., dict[str, Answer]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Ask an endpoint for a text to each example; answers are kept from one call to the next."""

    def ask(
        server: RecordingServer,
        decoding: Decoding,
        *,
        protocol: str,
        seed: int | None = None,
        system: str | None = None,
        stream: bool = False,
    ) -> dict[str, Answer]:
        spec = Endpoint(url=server.url, protocol=protocol, retries=0, max_concurrency=2, stream=stream)
        text = TextRequest(decoding, system)
        request_format = make_request_format(spec, Prompting("Q: {text}\nA:"), ["text"], (), seed, text=text)
        model = EndpointModel(spec, request_format, AnswerJournal(tmp_path / "kept.jsonl"), where="baselines.live")
        return {answer.example_id: answer for answer in model.answer(EXAMPLES)}

    return ask


def test_a_completion_is_cut_at_a_stop_sequence_and_its_answer_extracted(ask: Ask) -> None:
    def answer(body: Any) -> Response:
        n = int(body["prompt"].removeprefix("Q: ").split(" ")[0])
        text = f" Well, #### {n + 1} of course\nQ: 7" if n else ""
        return completion(text, prompt_tokens=6, completion_tokens=4, cost=0.5)

    stops = ("</s>", "###!", "END", "STOP", "\nQ:")
    with serve(answer) as server:
        decoding = Decoding(16, stops, extract=r"#### (\d+)")
        answers = ask(server, decoding, protocol="completions")
        assert ask(server, decoding, protocol="completions") == answers
    assert len(server.requests) == 3  # what is kept is not asked again
    assert {id: (a.prediction, a.raw, a.error) for id, a in answers.items()} == {
        "e0": ("", "", None),  # an empty text is an answer
        "e1": ("2", " Well, #### 2 of course", None),
        "e2": ("3", " Well, #### 3 of course", None),
    }
    assert (answers["e1"].tokens_in, answers["e1"].tokens_out, answers["e1"].cost_usd) == (6, 4, 0.5)
    body = next(body for body in server.requests if body["prompt"] == "Q: 1 + 1\nA:")
    assert body == {"prompt": "Q: 1 + 1\nA:", "max_tokens": 16, "temperature": 0.0, "stop": list(stops[:4])}


def test_each_sample_of_a_chat_is_a_request_with_a_seed_of_its_own(ask: Ask) -> None:
    def answer(body: Any) -> Response:
        if body["messages"][1]["content"].startswith("Q: 2"):
            return Response({"error": "too long"}, 400)
        return chat(f" said {body['seed']} ", prompt_tokens=5, completion_tokens=2)

    with serve(answer) as server:
        answers = ask(server, Decoding(8, temperature=0.7, samples=3), protocol="chat", seed=2, system="Be brief.")
    assert answers["e0"].samples == ("said 6", "said 7", "said 8")
    assert (answers["e0"].prediction, answers["e0"].raw) == ("said 6", None)
    assert (answers["e0"].tokens_in, answers["e0"].tokens_out) == (15, 6)
    assert answers["e2"].prediction is None
    assert "HTTP 400: too long" in str(answers["e2"].error)
    body = server.requests[0]
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Q: 0 + 1\nA:"},
    ]
    assert (body["max_completion_tokens"], body["temperature"]) == (8, 0.7)
    assert not {"stop", "response_format", "max_tokens"} & body.keys()


def test_a_text_may_be_streamed(ask: Ask) -> None:
    def piece(text: str, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}

    with serve(lambda _: events(piece("1"), piece("2"), piece("", "stop"))) as server:
        answer = ask(server, Decoding(8), protocol="completions", stream=True)["e0"]
    assert (answer.prediction, answer.first_token_s is not None) == ("12", True)


@pytest.mark.parametrize(
    ("row", "prediction", "raw"),
    [
        ("is 4.", "4", "is 4."),
        ({"text": "is 4.", "error": None}, "4", "is 4."),
        ({"text": "4", "raw": "is 4.", "error": None}, "4", "is 4."),  # as models of ours are served
        ({"said": "is 4.", "score": 0.5}, "4", "is 4."),
        ("", "", ""),
    ],
)
def test_a_row_of_mlflow_says_a_text(ask: Ask, row: Any, prediction: str, raw: str) -> None:
    with serve(lambda _: Response({"predictions": [row]})) as server:
        answer = ask(server, Decoding(8, extract=r"(?<=is )\d"), protocol="mlflow")["e0"]
    assert (answer.prediction, answer.raw, answer.error) == (prediction, raw, None)
    assert server.requests[0] == {"dataframe_records": [{"text": "0 + 1"}]}


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"text": None, "error": "out of memory"}, "out of memory"),
        ({"a": "x", "b": "y"}, "expected a text in the column `text`"),
        (None, "expected a text, got None"),
    ],
)
def test_a_row_that_says_none_is_an_error(ask: Ask, row: Any, error: str) -> None:
    with serve(lambda _: Response({"predictions": [row]})) as server:
        answer = ask(server, Decoding(8, temperature=1.0, samples=2), protocol="mlflow")["e0"]
    assert answer.prediction is None
    assert error in str(answer.error)
