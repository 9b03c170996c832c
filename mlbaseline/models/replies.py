"""What a model of somebody else's says ─▶ one of the choices, or the reason why it is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbaseline.values import as_text, is_missing

_SHOWN = 120
_AROUND = " \t\r\n\"'`*_.,:;!()[]"
PROBABILITY = "probability."
"""Column of a served model's answer: probability of a label."""


@dataclass(frozen=True)
class Said:
    """label: None where nothing that was said is a choice; then error says what came.

    loglik_nats: log-probability of each choice, in label order; empty where the model gives none.
    """

    label: str | None = None
    loglik_nats: tuple[float, ...] = ()
    error: str | None = None


def read_choice(text: str, labels: Sequence[str], choices: Sequence[str]) -> Said:
    """The choice that a text names: all of it, or the words that it begins with; capitals do not count.

    choices: the texts that may be answered, one per label. Of several that fit, the longest.
    """
    if not text.strip():
        return Said(error="the answer is empty")
    said = text.strip(_AROUND).casefold()
    fitting = [(len(choice), label) for label, choice in zip(labels, choices, strict=True) if _begins(said, choice)]
    if not fitting:
        return Said(error=f"answered {shorten(text)}, which begins with none of the choices {list(choices)}")
    return Said(max(fitting)[1])


def read_constrained(text: str, labels: Sequence[str], choices: Sequence[str]) -> Said:
    """The choice in `{"answer": …}`, as the schema of a constrained generation asks for it."""
    try:
        answer = json.loads(text)["answer"]
    except (ValueError, TypeError, KeyError):
        return Said(
            error=f"expected an object with the key `answer`, as the request's schema says, got {shorten(text)}"
        )
    found = [label for label, choice in zip(labels, choices, strict=True) if choice == answer]
    return Said(found[0]) if found else Said(error=f"answered {shorten(str(answer))}, which is none of {list(choices)}")


def read_row(row: Any, labels: Sequence[str], choices: Sequence[str]) -> Said:
    """One row of a model's predictions: a label or text, or columns of which `label` or the only text says it.

    The columns `probability.<label>`, where all are there, are the log-likelihoods; `error` is a failure.
    """
    if not isinstance(row, Mapping):
        return Said(error="the answer is empty") if is_missing(row) else _label_or_text(row, labels, choices)
    if not is_missing(row.get("error")):
        return Said(error=str(row["error"]))
    texts = [value for value in row.values() if isinstance(value, str)]
    said = row["label"] if "label" in row else texts[0] if len(texts) == 1 else None
    if is_missing(said):
        return Said(error=f"expected a column `label`, or a single one that is text, got the columns {list(row)}")
    found = _label_or_text(said, labels, choices)
    return found if found.error else Said(found.label, _logliks(row, labels))


def _label_or_text(said: Any, labels: Sequence[str], choices: Sequence[str]) -> Said:
    label = as_text(said)
    return Said(label) if label in labels else read_choice(label, labels, choices)


def _logliks(row: Mapping[str, Any], labels: Sequence[str]) -> tuple[float, ...]:
    given = [row.get(PROBABILITY + label) for label in labels]
    known = [value for value in given if isinstance(value, int | float) and 0 <= value <= 1]
    # A probability of zero has been rounded: the least float above it is the most that can be said.
    return tuple(math.log(max(value, 5e-324)) for value in known) if len(known) == len(given) else ()


def _begins(said: str, choice: str) -> bool:
    start = choice.strip(_AROUND).casefold()
    if not start or not said.startswith(start):
        return False  # a choice without a letter or digit cannot be read from a text
    rest = said[len(start) :]
    return not rest or not (rest[0].isalnum() or rest[0] == "-")


def shorten(text: str) -> str:
    """As a message shows it."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + " …")
