"""Request and reply formats of endpoints: MLflow's `/invocations`, and completions and chat of OpenAI."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlbaseline.models.endpoint.client import HasText, RefusedError
from mlbaseline.models.endpoint.openai_replies import Usage, check_generated, choices_of, read_echo, usage_of
from mlbaseline.models.reply_parsing import (
    DecodingOptions,
    ParsedReply,
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
"""Put before the prompt of a chat model: a conversation does not show by itself what may be answered."""
_MOST_STOPS = 4
"""OpenAI accepts no more stop sequences. They only save tokens: a text is cut here at all of them."""
_SEEDS = 2**32


class PromptText(Protocol):
    """See `tasks.prompting.Prompt`."""

    @property
    def context(self) -> str: ...
    @property
    def continuations(self) -> tuple[str, ...]: ...


class PromptMaker(Protocol):
    """See `tasks.prompting.Prompting`."""

    def prompt(self, example: Example) -> PromptText: ...


@dataclass(frozen=True)
class TextRequest:
    """How a text is generated.

    Attributes:
        decoding: options of the task.
        system: message before the prompt of a chat model.
    """

    decoding: DecodingOptions
    system: str | None = None


class RequestFormat(Protocol):
    """How an example is sent to an endpoint, and how its replies are parsed."""

    @property
    def has_text(self) -> HasText | None:
        """Function that tells whether an event of a stream holds text; None where nothing is streamed."""
        ...

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        """Return the request bodies, one for each sample."""
        ...

    def read(self, content: Any, example: Example, /) -> ParsedReply:
        """Parse one reply. Raises RefusedError for a reply of another shape."""
        ...

    def usage(self, content: Any, /) -> Usage:
        """Return the tokens that a reply states."""
        ...


class InvocationsFormat:
    """MLflow: one row with the columns of the prompt."""

    has_text: HasText | None = None

    def __init__(self, columns: Sequence[str], labels: Sequence[str], decoding: DecodingOptions | None) -> None:
        """Send `columns`. decoding: of a generated text; None for a choice."""
        self._columns, self._labels, self._decoding = tuple(columns), tuple(labels), decoding

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        body = {"dataframe_records": [{name: example.fields[name] for name in self._columns}]}
        return [body] * (self._decoding.samples if self._decoding else 1)

    def read(self, content: Any, example: Example) -> ParsedReply:
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


class LogProbsFormat:
    """Completions: the prompt followed by each choice; the server returns the log-probabilities of the tokens."""

    has_text: HasText | None = None

    def __init__(self, spec: Endpoint, prompting: PromptMaker, labels: Sequence[str]) -> None:
        self._spec, self._prompting, self._labels = spec, prompting, tuple(labels)

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        return [{**_model(self._spec), "prompt": self._texts(example), "echo": True, "logprobs": 1, "max_tokens": 0}]

    def read(self, content: Any, example: Example) -> ParsedReply:
        texts = self._texts(example)
        echoed = [read_echo(choice, texts) for choice in choices_of(content, len(texts))]
        context, *wholes = (tokens for _, tokens in sorted(echoed, key=lambda entry: entry[0]))
        # As lm-evaluation-harness does: a continuation is what follows as many tokens as the context alone has.
        nats = tuple(sum(value for value in whole[len(context) :] if value is not None) for whole in wholes)
        if not all(map(math.isfinite, nats)):
            return ParsedReply(error=f"gave log-likelihoods that are no numbers: {nats}")
        if any(len(whole) <= len(context) for whole in wholes):
            return ParsedReply(error="a choice adds no token of its own to the prompt, so it has no log-likelihood")
        best = max(range(len(nats)), key=nats.__getitem__)
        return ParsedReply(self._labels[best], nats)

    def usage(self, content: Any) -> Usage:
        return usage_of(content.get("usage"))

    def _texts(self, example: Example) -> list[str]:
        prompt = self._prompting.prompt(example)
        return [prompt.context, *(prompt.context + continuation for continuation in prompt.continuations)]


class GeneratedTextFormat:
    """Completions and chat: text is generated, all at once or as a stream."""

    def __init__(self, spec: Endpoint) -> None:
        self._spec = spec
        self._is_chat = spec.protocol == "chat"

    @property
    def has_text(self) -> HasText:
        return self.piece

    def piece(self, content: Any) -> str:
        """Return the text of a reply, or of one event of a stream."""
        choices = _mapping(content).get("choices")
        choice = _mapping(choices[0] if isinstance(choices, list) and choices else None)
        message = _mapping(choice.get("message") or choice.get("delta")) if self._is_chat else choice
        text = message.get("content" if self._is_chat else "text")
        if not isinstance(text, str | None):
            raise RefusedError(f"expected a text, got {shorten(repr(text))}")
        return text or ""

    def usage(self, content: Any) -> Usage:
        parts = content if isinstance(content, list) else [content]
        stated = [part["usage"] for part in parts if isinstance(_mapping(part).get("usage"), Mapping)]
        return usage_of(stated[-1] if stated else None)

    def _request(
        self, prompt: str, *, system: str | None = None, max_new_tokens: int, temperature: float, seed: int | None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {**_model(self._spec), "temperature": temperature}
        if self._is_chat:
            system_message = [] if system is None else [{"role": "system", "content": system}]
            body["messages"] = [*system_message, {"role": "user", "content": prompt}]
            body["max_completion_tokens"] = max_new_tokens
        else:
            body |= {"prompt": prompt, "max_tokens": max_new_tokens}
        if seed is not None:
            body["seed"] = seed
        if self._spec.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def _text(self, content: Any) -> str:
        is_stream = self._spec.stream and isinstance(content, list)
        parts = content if is_stream else [check_generated(content, self._is_chat)]
        return "".join(map(self.piece, parts))


class GeneratedChoiceFormat(GeneratedTextFormat):
    """The choice is parsed from the text."""

    def __init__(self, spec: Endpoint, prompting: PromptMaker, labels: Sequence[str], seed: int | None) -> None:
        super().__init__(spec)
        self._prompting, self._labels, self._seed = prompting, tuple(labels), seed

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        prompt = self._prompting.prompt(example).context
        if self._is_chat:
            prompt = f"{INSTRUCTION.format(choices=' | '.join(example.choices))}\n\n{prompt}"
        spec = self._spec
        body = self._request(prompt, max_new_tokens=spec.max_new_tokens, temperature=spec.temperature, seed=self._seed)
        if spec.choosing == "constrained":
            body["response_format"] = _one_of(example.choices)
        return [body]

    def read(self, content: Any, example: Example) -> ParsedReply:
        text = self._text(content)
        if self._spec.choosing == "constrained":
            reply = read_constrained(text, self._labels, example.choices)
            if reply.error:
                raise RefusedError(f"{reply.error}; where a server cannot constrain, set `choose_by: generate`")
            return reply
        return read_choice(text, self._labels, example.choices)


class GeneratedAnswerFormat(GeneratedTextFormat):
    """The text is the answer, generated with the options of the task, not of the endpoint."""

    def __init__(self, spec: Endpoint, prompting: PromptMaker, request: TextRequest, seed: int | None) -> None:
        """Use the options of a task. seed: each sample has its own."""
        super().__init__(spec)
        self._prompting, self._seed = prompting, seed
        self._decoding, self._system = request.decoding, request.system

    def bodies(self, example: Example) -> list[dict[str, Any]]:
        prompt, decoding = self._prompting.prompt(example).context, self._decoding
        return [
            self._request(
                prompt,
                system=self._system,
                max_new_tokens=decoding.max_new_tokens,
                temperature=decoding.temperature,
                # With the same seed, another sample would be the same text.
                seed=None if self._seed is None else (self._seed * decoding.samples + sample) % _SEEDS,
            )
            | ({"stop": list(decoding.stop[:_MOST_STOPS])} if decoding.stop else {})
            for sample in range(decoding.samples)
        ]

    def read(self, content: Any, _: Example, /) -> ParsedReply:
        return read_text(self._text(content), self._decoding)


def make_request_format(
    spec: Endpoint,
    prompting: PromptMaker,
    columns: Sequence[str],
    labels: Sequence[str],
    seed: int | None,
    *,
    text: TextRequest | None = None,
) -> RequestFormat:
    """Make the request format of an endpoint.

    Args:
        spec: its protocol, and how choices are answered.
        prompting: makes the prompts.
        columns: sent where the protocol sends rows.
        labels: that may be answered.
        seed: of what is drawn.
        text: how a text is generated; None for a choice.
    """
    if spec.protocol == "mlflow":
        return InvocationsFormat(columns, labels, text.decoding if text else None)
    if text is not None:
        return GeneratedAnswerFormat(spec, prompting, text, seed)
    if spec.choosing == "loglik":
        return LogProbsFormat(spec, prompting, labels)
    return GeneratedChoiceFormat(spec, prompting, labels, seed)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


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
