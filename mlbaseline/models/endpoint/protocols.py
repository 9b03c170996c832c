"""What is sent to an endpoint, and how its answer is read: MLflow's `/invocations`, completions and chat of OpenAI."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlbaseline.models.endpoint.client import RefusedError
from mlbaseline.models.reply_parsing import (
    Decoding,
    Said,
    read_choice,
    read_constrained,
    read_row,
    read_text,
    read_text_row,
    shorten,
)
from mlbaseline.records import Example
from mlbaseline.suite import Endpoint

INSTRUCTION = "Answer with one of these, and with nothing else: {choices}."
"""In front of what a chat model is asked: a conversation does not show by itself what may be answered."""
_MOST_STOPS = 4
"""OpenAI takes no more stop sequences. They only save tokens: a text is cut here by all of them."""
_SEEDS = 2**32


class Prompt(Protocol):
    """See `tasks.prompting.Prompt`."""

    @property
    def context(self) -> str: ...
    @property
    def continuations(self) -> tuple[str, ...]: ...


class Prompting(Protocol):
    """See `tasks.prompting.Prompting`."""

    def prompt(self, example: Example) -> Prompt: ...


@dataclass(frozen=True)
class Usage:
    """cost_usd: what the answer itself says that it cost."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = None


class Asking(Protocol):
    """One way to put an example to an endpoint."""

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        """Of the requests to make, one for each sample."""
        ...

    def read(self, content: Any, example: Example, /) -> Said:
        """What one request has brought. Raises RefusedError for an answer of another shape."""
        ...

    def usage(self, content: Any, /) -> Usage: ...


class AskingRows:
    """MLflow: one row with the columns of the prompt."""

    def __init__(self, columns: Sequence[str], labels: Sequence[str], decoding: Decoding | None) -> None:
        """decoding: of a text that is wanted; None for a choice."""
        self._columns, self._labels, self._decoding = tuple(columns), tuple(labels), decoding

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        body = {"dataframe_records": [{name: example.fields[name] for name in self._columns}]}
        return [body] * (self._decoding.samples if self._decoding else 1)

    def read(self, content: Any, example: Example) -> Said:
        predictions = content.get("predictions") if isinstance(content, Mapping) else None
        if isinstance(predictions, Mapping):
            predictions = [{k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in predictions.items()}]
        if not isinstance(predictions, list) or len(predictions) != 1:
            raise RefusedError(f"expected {{'predictions': [ROW]}} for one row, got {shorten(str(content))}")
        if self._decoding is not None:
            return read_text_row(predictions[0], self._decoding)
        return read_row(predictions[0], self._labels, example.choices)

    def usage(self, _: Any, /) -> Usage:
        return Usage()


class AskingLikelihoods:
    """Completions: the prompt and, behind it, each choice, of which the server tells the tokens' log-probabilities."""

    def __init__(self, spec: Endpoint, prompting: Prompting, labels: Sequence[str]) -> None:
        self._spec, self._prompting, self._labels = spec, prompting, tuple(labels)

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        return [{**_model(self._spec), "prompt": self._texts(example), "echo": True, "logprobs": 1, "max_tokens": 0}]

    def read(self, content: Any, example: Example) -> Said:
        texts = self._texts(example)
        echoed = [_echoed(choice, texts) for choice in _choices(content, len(texts))]
        context, *wholes = (tokens for _, tokens in sorted(echoed, key=lambda entry: entry[0]))
        # As lm-evaluation-harness does: a continuation is what follows as many tokens as the context alone has.
        nats = tuple(sum(value for value in whole[len(context) :] if value is not None) for whole in wholes)
        if not all(map(math.isfinite, nats)):
            return Said(error=f"gave log-likelihoods that are no numbers: {nats}")
        if any(len(whole) <= len(context) for whole in wholes):
            return Said(error="a choice adds no token of its own to the prompt, so it has no log-likelihood")
        best = max(range(len(nats)), key=nats.__getitem__)
        return Said(self._labels[best], nats)

    def usage(self, content: Any) -> Usage:
        return _usage(content.get("usage"))

    def _texts(self, example: Example) -> list[str]:
        prompt = self._prompting.prompt(example)
        return [prompt.context, *(prompt.context + continuation for continuation in prompt.continuations)]


class AskingText:
    """Completions and chat: text is generated, all at once or as a stream."""

    def __init__(self, spec: Endpoint) -> None:
        self._spec = spec
        self._is_chat = spec.protocol == "chat"

    def piece(self, content: Any) -> str:
        """The text of an answer, or of one event of a stream."""
        choices = (content.get("choices") or []) if isinstance(content, Mapping) else []
        choice: Mapping[str, Any] = choices[0] if choices else {}
        if not self._is_chat:
            return choice.get("text") or ""
        return (choice.get("message") or choice.get("delta") or {}).get("content") or ""

    def usage(self, content: Any) -> Usage:
        parts = content if isinstance(content, list) else [content]
        stated = [part["usage"] for part in parts if isinstance(part.get("usage"), Mapping)]
        return _usage(stated[-1] if stated else None)

    def _request(
        self, asked: str, *, system: str | None = None, max_new_tokens: int, temperature: float, seed: int | None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {**_model(self._spec), "temperature": temperature}
        if self._is_chat:
            spoken = [] if system is None else [{"role": "system", "content": system}]
            body["messages"] = [*spoken, {"role": "user", "content": asked}]
            body["max_completion_tokens"] = max_new_tokens
        else:
            body |= {"prompt": asked, "max_tokens": max_new_tokens}
        if seed is not None:
            body["seed"] = seed
        if self._spec.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def _text(self, content: Any) -> str:
        parts = content if self._spec.stream and isinstance(content, list) else _whole(content, self._is_chat)
        return "".join(map(self.piece, parts))


class AskingChoice(AskingText):
    """The choice is read from the text."""

    def __init__(self, spec: Endpoint, prompting: Prompting, labels: Sequence[str], seed: int | None) -> None:
        super().__init__(spec)
        self._prompting, self._labels, self._seed = prompting, tuple(labels), seed

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        asked = self._prompting.prompt(example).context
        if self._is_chat:
            asked = f"{INSTRUCTION.format(choices=' | '.join(example.choices))}\n\n{asked}"
        spec = self._spec
        body = self._request(asked, max_new_tokens=spec.max_new_tokens, temperature=spec.temperature, seed=self._seed)
        if spec.choosing == "constrained":
            body["response_format"] = _one_of(example.choices)
        return [body]

    def read(self, content: Any, example: Example) -> Said:
        text = self._text(content)
        if self._spec.choosing == "constrained":
            found = read_constrained(text, self._labels, example.choices)
            if found.error:
                raise RefusedError(f"{found.error}; where a server cannot constrain, set `choose_by: generate`")
            return found
        return read_choice(text, self._labels, example.choices)


class AskingContinuation(AskingText):
    """The text is the answer, by the options of the task and not of the endpoint."""

    def __init__(
        self, spec: Endpoint, prompting: Prompting, decoding: Decoding, system: str | None, seed: int | None
    ) -> None:
        """system: said before the prompt in a chat. seed: of what is drawn; each sample has one of its own."""
        super().__init__(spec)
        self._prompting, self._decoding, self._system, self._seed = prompting, decoding, system, seed

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        asked, decoding = self._prompting.prompt(example).context, self._decoding
        return [
            self._request(
                asked,
                system=self._system,
                max_new_tokens=decoding.max_new_tokens,
                temperature=decoding.temperature,
                # Another sample of the same request with the same seed would be the same text.
                seed=None if self._seed is None else (self._seed * decoding.samples + sample) % _SEEDS,
            )
            | ({"stop": list(decoding.stop[:_MOST_STOPS])} if decoding.stop else {})
            for sample in range(decoding.samples)
        ]

    def read(self, content: Any, _: Example, /) -> Said:
        return read_text(self._text(content), self._decoding)


def make_asking(
    spec: Endpoint,
    prompting: Prompting,
    columns: Sequence[str],
    labels: Sequence[str],
    seed: int | None,
    *,
    decoding: Decoding | None = None,
    system: str | None = None,
) -> Asking:
    """How `spec` is asked: for one of `labels` or, with `decoding`, for a text. columns: sent where rows are.

    system: said before the prompt where a chat is asked for a text.
    """
    if spec.protocol == "mlflow":
        return AskingRows(columns, labels, decoding)
    if decoding is not None:
        return AskingContinuation(spec, prompting, decoding, system, seed)
    if spec.choosing == "loglik":
        return AskingLikelihoods(spec, prompting, labels)
    return AskingChoice(spec, prompting, labels, seed)


def _model(spec: Endpoint) -> dict[str, Any]:
    return {"model": spec.model} if spec.model is not None else {}


def _one_of(choices: Sequence[str]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(choices)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _choices(content: Any, expected: int) -> list[Mapping[str, Any]]:
    choices = content.get("choices") if isinstance(content, Mapping) else None
    if not isinstance(choices, list) or len(choices) != expected or not all(isinstance(c, Mapping) for c in choices):
        raise RefusedError(f"expected {expected} `choices`, got {shorten(str(content))}")
    return choices


def _whole(content: Any, is_chat: bool) -> Iterator[Mapping[str, Any]]:
    (choice,) = _choices(content, 1)
    if not isinstance(choice.get("message" if is_chat else "text"), Mapping if is_chat else str):
        raise RefusedError(f"expected `{'message' if is_chat else 'text'}` in the choice, got {shorten(str(choice))}")
    yield content


def _echoed(choice: Mapping[str, Any], texts: Sequence[str]) -> tuple[int, list[float | None]]:
    """Position of the prompt and the log-probabilities of its tokens, the first of which has none."""
    index, said = choice.get("index"), choice.get("logprobs")
    values = said.get("token_logprobs") if isinstance(said, Mapping) else None
    text = choice.get("text")
    if not (isinstance(index, int) and 0 <= index < len(texts)) or not values or not isinstance(text, str):
        raise RefusedError("gives no log-probabilities of the prompt; set `choose_by: generate` or `constrained`")
    if not text.startswith(texts[index]):
        raise RefusedError(
            f"does not echo the prompt, so its log-probabilities are those of something else ({shorten(text)}); "
            "set `choose_by: generate` or `constrained`"
        )
    # Servers that cannot write nothing write one token behind the prompt.
    return index, values if text == texts[index] else values[:-1]


def _usage(stated: Any) -> Usage:
    if not isinstance(stated, Mapping):
        return Usage()
    cost = stated.get("cost")
    return Usage(
        int(stated.get("prompt_tokens") or 0),
        int(stated.get("completion_tokens") or 0),
        float(cost) if isinstance(cost, int | float) else None,
    )
