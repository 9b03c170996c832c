"""Replies in the format of OpenAI: choices, echoed log-probabilities, usage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbaseline.models.endpoint.client import RefusedError
from mlbaseline.models.reply_parsing import shorten


@dataclass(frozen=True)
class Usage:
    """Tokens of a reply. cost_usd: as the reply itself states it."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = None


def choices_of(content: Any, expected: int) -> list[Mapping[str, Any]]:
    """Return the choices of a reply. Raises RefusedError where there are not as many as expected."""
    choices = content.get("choices") if isinstance(content, Mapping) else None
    if not isinstance(choices, list) or len(choices) != expected or not all(isinstance(c, Mapping) for c in choices):
        raise RefusedError(f"expected {expected} `choices`, got {shorten(str(content))}")
    return choices


def check_generated(content: Any, is_chat: bool) -> Mapping[str, Any]:
    """Return a reply that has one generated text. Raises RefusedError for any other reply."""
    (choice,) = choices_of(content, 1)
    if not isinstance(choice.get("message" if is_chat else "text"), Mapping if is_chat else str):
        raise RefusedError(f"expected `{'message' if is_chat else 'text'}` in the choice, got {shorten(str(choice))}")
    checked: Mapping[str, Any] = content
    return checked


def read_echo(choice: Mapping[str, Any], texts: Sequence[str]) -> tuple[int, list[float | None]]:
    """Return the position of a prompt and the log-probabilities of its tokens; the first token has none."""
    index, logprobs = choice.get("index"), choice.get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, Mapping) else None
    text = choice.get("text")
    if not (isinstance(index, int) and 0 <= index < len(texts)) or not values or not isinstance(text, str):
        raise RefusedError("gives no log-probabilities of the prompt; set `choose_by: generate` or `constrained`")
    if not text.startswith(texts[index]):
        raise RefusedError(
            f"does not echo the prompt, so its log-probabilities belong to another text ({shorten(text)}); "
            "set `choose_by: generate` or `constrained`"
        )
    # Servers that must generate something add one token behind the prompt.
    return index, values if text == texts[index] else values[:-1]


def usage_of(stated: Any) -> Usage:
    """Parse the `usage` of a reply; without one, nothing is counted."""
    if not isinstance(stated, Mapping):
        return Usage()
    cost = stated.get("cost")
    return Usage(
        int(stated.get("prompt_tokens") or 0),
        int(stated.get("completion_tokens") or 0),
        float(cost) if isinstance(cost, int | float) else None,
    )
