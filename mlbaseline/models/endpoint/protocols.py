"""What is sent to an endpoint, and how its answer is read: MLflow's `/invocations`, completions and chat of OpenAI."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlbaseline.models.endpoint.client import RefusedError
from mlbaseline.models.replies import Said, read_choice, read_constrained, read_row, shorten
from mlbaseline.records import Example
from mlbaseline.suite import Endpoint

INSTRUCTION = "Answer with one of these, and with nothing else: {choices}."
"""In front of what a chat model is asked: a conversation does not show by itself what may be answered."""


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

    def body(self, example: Example) -> dict[str, Any]: ...

    def read(self, content: Any, example: Example) -> Said:
        """Raises RefusedError for an answer of another shape."""
        ...

    def usage(self, content: Any, /) -> Usage: ...


class AskingRows:
    """MLflow: one row with the columns of the prompt."""

    def __init__(self, columns: Sequence[str], labels: Sequence[str]) -> None:
        self._columns, self._labels = tuple(columns), tuple(labels)

    def body(self, example: Example) -> dict[str, Any]:
        return {"dataframe_records": [{name: example.fields[name] for name in self._columns}]}

    def read(self, content: Any, example: Example) -> Said:
        predictions = content.get("predictions") if isinstance(content, Mapping) else None
        if isinstance(predictions, Mapping):
            predictions = [{k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in predictions.items()}]
        if not isinstance(predictions, list) or len(predictions) != 1:
            raise RefusedError(f"expected {{'predictions': [ROW]}} for one row, got {shorten(str(content))}")
        return read_row(predictions[0], self._labels, example.choices)

    def usage(self, _: Any, /) -> Usage:
        return Usage()


class AskingLikelihoods:
    """Completions: the prompt and, behind it, each choice, of which the server tells the tokens' log-probabilities."""

    def __init__(self, spec: Endpoint, prompting: Prompting, labels: Sequence[str]) -> None:
        self._spec, self._prompting, self._labels = spec, prompting, tuple(labels)

    def body(self, example: Example) -> dict[str, Any]:
        return {**_model(self._spec), "prompt": self._texts(example), "echo": True, "logprobs": 1, "max_tokens": 0}

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
    """Completions and chat: text is generated, all at once or as a stream, and the choice is read from it."""

    def __init__(self, spec: Endpoint, prompting: Prompting, labels: Sequence[str], seed: int | None) -> None:
        self._spec, self._prompting, self._labels, self._seed = spec, prompting, tuple(labels), seed
        self._is_chat = spec.protocol == "chat"

    def body(self, example: Example) -> dict[str, Any]:
        context = self._prompting.prompt(example).context
        body: dict[str, Any] = {**_model(self._spec), "temperature": self._spec.temperature}
        if self._is_chat:
            instruction = INSTRUCTION.format(choices=" | ".join(example.choices))
            body["messages"] = [{"role": "user", "content": f"{instruction}\n\n{context}"}]
            body["max_completion_tokens"] = self._spec.max_new_tokens
        else:
            body |= {"prompt": context, "max_tokens": self._spec.max_new_tokens}
        if self._seed is not None:
            body["seed"] = self._seed
        if self._spec.choosing == "constrained":
            body["response_format"] = _one_of(example.choices)
        if self._spec.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def piece(self, content: Any) -> str:
        """The text of an answer, or of one event of a stream."""
        choices = (content.get("choices") or []) if isinstance(content, Mapping) else []
        choice: Mapping[str, Any] = choices[0] if choices else {}
        if not self._is_chat:
            return choice.get("text") or ""
        return (choice.get("message") or choice.get("delta") or {}).get("content") or ""

    def read(self, content: Any, example: Example) -> Said:
        parts = content if self._spec.stream and isinstance(content, list) else _whole(content, self._is_chat)
        text = "".join(map(self.piece, parts))
        if self._spec.choosing == "constrained":
            found = read_constrained(text, self._labels, example.choices)
            if found.error:
                raise RefusedError(f"{found.error}; where a server cannot constrain, set `choose_by: generate`")
            return found
        return read_choice(text, self._labels, example.choices)

    def usage(self, content: Any) -> Usage:
        parts = content if isinstance(content, list) else [content]
        stated = [part["usage"] for part in parts if isinstance(part.get("usage"), Mapping)]
        return _usage(stated[-1] if stated else None)


def make_asking(
    spec: Endpoint, prompting: Prompting, columns: Sequence[str], labels: Sequence[str], seed: int | None
) -> Asking:
    if spec.protocol == "mlflow":
        return AskingRows(columns, labels)
    if spec.choosing == "loglik":
        return AskingLikelihoods(spec, prompting, labels)
    return AskingText(spec, prompting, labels, seed)


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
