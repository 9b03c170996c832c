"""Replies in the format of OpenAI: choices, echoed log-probabilities, usage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbaseline.models.endpoint.client import RefusedError
from mlbaseline.models.reply_parsing import shorten

_LARGEST_AMOUNT = 1e12
"""Of tokens or dollars that one reply may state: beyond any model, and far from the limits of a column."""


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
    """Parse the `usage` of a reply; without one, nothing is counted. Raises RefusedError for impossible numbers."""
    if not isinstance(stated, Mapping):
        return Usage()
    cost = stated.get("cost")
    return Usage(
        _tokens(stated, "prompt_tokens"),
        _tokens(stated, "completion_tokens"),
        None if cost is None else _amount(cost, "cost"),
    )


def _tokens(stated: Mapping[str, Any], name: str) -> int:
    return int(_amount(stated.get(name) or 0, name))


def _amount(value: Any, name: str) -> float:
    """Check a number that a reply states of itself: budgets and prices are computed from it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST_AMOUNT:
        raise RefusedError(f"states a `usage.{name}` of {shorten(repr(value))}, expected a number of at least 0")
    return float(value)
