"""What a model of somebody else's says ─▶ one of the choices or the text that was asked for, or why it is neither."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlbaseline.records import Answer, Example
from mlbaseline.values import as_text, is_missing

_SHOWN = 120
_AROUND = " \t\r\n\"'`*_.,:;!()[]"
PROBABILITY = "probability."
"""Column of a served model's answer: probability of a label."""


@dataclass(frozen=True)
class Said:
    """prediction: the label of a choice, or a generated text; None where nothing that was said is one, and then error
    says what came.

    loglik_nats: log-probability of each choice, in label order; empty where the model gives none.
    raw: the text that was generated, where the prediction is only a part of it.
    """

    prediction: str | None = None
    loglik_nats: tuple[float, ...] = ()
    error: str | None = None
    raw: str | None = None


class Decoding(Protocol):
    """See `tasks.decoding.Decoding`."""

    @property
    def max_new_tokens(self) -> int: ...
    @property
    def stop(self) -> tuple[str, ...]: ...
    @property
    def temperature(self) -> float: ...
    @property
    def samples(self) -> int: ...
    @property
    def extract(self) -> str | None: ...
    def cut(self, text: str) -> str: ...
    def answer_in(self, text: str) -> str: ...


def read_text(text: str, decoding: Decoding) -> Said:
    """What was asked for in a text that was generated. It may be empty: that too is an answer."""
    text = decoding.cut(text)
    return Said(decoding.answer_in(text), raw=None if decoding.extract is None else text)


def concluded(example: Example, said: Sequence[Said]) -> Answer:
    """The answer to an example of which one or more samples were asked. Where one of them failed, it has failed."""
    failed = next((sample.error for sample in said if sample.error is not None), None)
    if failed is not None:
        return Answer(example.id, None, error=failed)
    samples = tuple(sample.prediction for sample in said if sample.prediction is not None)
    return Answer(
        example.id,
        said[0].prediction,
        said[0].loglik_nats,
        raw=said[0].raw,
        samples=samples if len(samples) > 1 else (),
    )


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
    return found if found.error else Said(found.prediction, _logliks(row, labels))


def read_text_row(row: Any, decoding: Decoding) -> Said:
    """One row of the predictions of a model that writes: a text, or columns of which `raw`, `text` or the only text
    is what it wrote; `error` is a failure. raw: all of what was written, where `text` is a part of it."""
    if isinstance(row, Mapping):
        if not is_missing(row.get("error")):
            return Said(error=str(row["error"]))
        texts = [value for name, value in row.items() if isinstance(value, str) and name != "error"]
        named = [row[name] for name in ("raw", "text") if isinstance(row.get(name), str)]
        if not named and len(texts) != 1:
            return Said(error=f"expected a text in the column `text`, or in a single one, got the columns {list(row)}")
        return read_text((named or texts)[0], decoding)
    if isinstance(row, str):
        return read_text(row, decoding)
    return Said(error=f"expected a text, got {row!r:.{_SHOWN}}")


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
