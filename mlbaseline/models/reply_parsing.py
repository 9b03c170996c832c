"""Replies of models that do not run in our engine ─▶ a choice or a text, or an error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlbaseline.records import Answer, Example
from mlbaseline.untrusted import excerpt, parse_json
from mlbaseline.values import as_text, is_missing

_SHOWN, _SHOWN_ERROR = 120, 2000
"""Characters of a model's text, and of its own error message, in an error."""
_AROUND = " \t\r\n\"'`*_.,:;!()[]"
PROBABILITY = "probability."
"""Prefix of the columns of a served model that hold the probability of a label."""


@dataclass(frozen=True)
class ParsedReply:
    """What a reply means.

    Attributes:
        prediction: the label of a choice, or a generated text; None where the reply is neither.
        loglik_nats: log-probability of each choice, in label order; empty where the model gives none.
        error: why there is no prediction.
        raw: the whole generated text, where the prediction is a part of it.
    """

    prediction: str | None = None
    loglik_nats: tuple[float, ...] = ()
    error: str | None = None
    raw: str | None = None


class DecodingOptions(Protocol):
    """Options of a generated text, see `tasks.decoding.Decoding`."""

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


def read_text(text: str, decoding: DecodingOptions) -> ParsedReply:
    """Parse a generated text. It may be empty: that is an answer, too."""
    text = decoding.cut(text)
    return ParsedReply(decoding.answer_in(text), raw=None if decoding.extract is None else text)


def make_answer(example: Example, samples: Sequence[ParsedReply]) -> Answer:
    """Make the answer to an example from its samples (at least one). If one of them failed, the answer is an error."""
    error = next((sample.error for sample in samples if sample.error is not None), None)
    if error is not None:
        return Answer(example.id, None, error=error)
    first, predictions = samples[0], tuple(s.prediction for s in samples if s.prediction is not None)
    return Answer(
        example.id,
        first.prediction,
        first.loglik_nats,
        raw=first.raw,
        samples=predictions if len(predictions) > 1 else (),
    )


def read_choice(text: str, labels: Sequence[str], choices: Sequence[str]) -> ParsedReply:
    """Parse a text that is a choice or begins with the words of one; upper and lower case are the same.

    Args:
        text: of the model.
        labels: of the choices.
        choices: the texts that may be answered, one per label. Of several that fit, the longest is taken.

    >>> read_choice("Positive, I think", ["pos", "neg"], ["positive", "negative"]).prediction
    'pos'
    """
    if not text.strip():
        return ParsedReply(error="the answer is empty")
    stripped = text.strip(_AROUND).casefold()
    fitting = [(len(choice), label) for label, choice in zip(labels, choices, strict=True) if _begins(stripped, choice)]
    if not fitting:
        return ParsedReply(error=f"answered {shorten(text)}, which begins with none of the choices {list(choices)}")
    return ParsedReply(max(fitting)[1])


def read_constrained(text: str, labels: Sequence[str], choices: Sequence[str]) -> ParsedReply:
    """Parse the choice in `{"answer": …}`, as the schema of a constrained generation demands."""
    try:
        answer = parse_json(text)["answer"]
    except (ValueError, TypeError, KeyError):
        return ParsedReply(
            error=f"expected an object with the key `answer`, as the request's schema says, got {shorten(text)}"
        )
    fitting = [label for label, choice in zip(labels, choices, strict=True) if choice == answer]
    if not fitting:
        return ParsedReply(error=f"answered {shorten(str(answer))}, which is none of {list(choices)}")
    return ParsedReply(fitting[0])


def read_row(row: Any, labels: Sequence[str], choices: Sequence[str]) -> ParsedReply:
    """Parse a row of a model's predictions: a label or text, or columns of which `label` or the only text is it.

    The columns `probability.<label>`, where all are present, become log-likelihoods; `error` is a failure.
    """
    if not isinstance(row, Mapping):
        return ParsedReply(error="the answer is empty") if is_missing(row) else _label_or_text(row, labels, choices)
    if not is_missing(row.get("error")):
        return ParsedReply(error=excerpt(str(row["error"]), _SHOWN_ERROR))
    texts = [value for value in row.values() if isinstance(value, str)]
    label = row["label"] if "label" in row else texts[0] if len(texts) == 1 else None
    if is_missing(label):
        return ParsedReply(
            error=f"expected a column `label`, or a single one that is text, got the columns {list(row)}"
        )
    reply = _label_or_text(label, labels, choices)
    return reply if reply.error else ParsedReply(reply.prediction, _logliks(row, labels))


def read_text_row(row: Any, decoding: DecodingOptions) -> ParsedReply:
    """Parse a row of a generative model's predictions: a text, or the column `raw`, `text` or the only text.

    `raw` is the whole generated text, where `text` is a part of it; `error` is a failure.
    """
    if isinstance(row, Mapping):
        if not is_missing(row.get("error")):
            return ParsedReply(error=excerpt(str(row["error"]), _SHOWN_ERROR))
        texts = [value for name, value in row.items() if isinstance(value, str) and name != "error"]
        named = [row[name] for name in ("raw", "text") if isinstance(row.get(name), str)]
        if not named and len(texts) != 1:
            return ParsedReply(
                error=f"expected a text in the column `text`, or in a single one, got the columns {list(row)}"
            )
        return read_text((named or texts)[0], decoding)
    if isinstance(row, str):
        return read_text(row, decoding)
    return ParsedReply(error=f"expected a text, got {excerpt(repr(row), _SHOWN)}")


def _label_or_text(value: Any, labels: Sequence[str], choices: Sequence[str]) -> ParsedReply:
    label = as_text(value)
    return ParsedReply(label) if label in labels else read_choice(label, labels, choices)


def _logliks(row: Mapping[str, Any], labels: Sequence[str]) -> tuple[float, ...]:
    values = [row.get(PROBABILITY + label) for label in labels]
    valid = [value for value in values if isinstance(value, int | float) and 0 <= value <= 1]
    # A probability of zero has been rounded: the smallest float above it stands for it.
    return tuple(math.log(max(value, 5e-324)) for value in valid) if len(valid) == len(values) else ()


def _begins(text: str, choice: str) -> bool:
    start = choice.strip(_AROUND).casefold()
    if not start or not text.startswith(start):
        return False  # a choice without a letter or digit cannot be parsed from a text
    rest = text[len(start) :]
    return not rest or not (rest[0].isalnum() or rest[0] == "-")


def shorten(text: str) -> str:
    """Clean and shorten a text for a message."""
    return repr(excerpt(text, _SHOWN))
