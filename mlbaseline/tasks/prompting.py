"""Prompts: the template of a suite, filled from an example, and joined as lm-evaluation-harness joins.

A template is text with `{field}` in it. Nothing else that `str.format` understands is allowed: an attribute, an index,
a conversion or a format would let a suite file reach into Python objects, and would hide what the model is shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Any, Protocol

import numpy as np

from mlbaseline.errors import DataError
from mlbaseline.records import Example, Scalar, TaskData
from mlbaseline.suite import Shots

CHOICE_DELIMITER = " "
SHOT_DELIMITER = "\n\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt: the context, and the continuations whose likelihood is scored behind it, one per label."""

    context: str
    continuations: tuple[str, ...]


class PromptFormat(Protocol):
    """How examples become prompts: what the engine needs."""

    def prompt(self, example: Example) -> Prompt:
        """Return the prompt of one example. Raises DataError if it cannot be made."""
        ...

    @property
    def shared_prefix(self) -> str:
        """What every prompt begins with; may be empty."""
        ...


class TrainingPromptFormat(PromptFormat, Protocol):
    """How examples become prompts: what training and signatures need beside it."""

    def solved(self, example: Example, labels: Sequence[str]) -> Prompt:
        """Return the prompt with the right answer as its only continuation."""
        ...

    @property
    def ending(self) -> str:
        """The text that ends an answer, where that is not the tokenizer's own end token."""
        ...

    def signature_fields(self) -> dict[str, Scalar]:
        """Return the `prompt.*` fields of a signature: everything of a prompt that is not the example's."""
        ...


@dataclass(frozen=True, slots=True)
class Prompting:
    """How examples become prompts. prefix: text in front of every prompt, which shows `shots` solved examples."""

    template: str
    prefix: str = ""
    shots: int = 0

    def prompt(self, example: Example) -> Prompt:
        """Return the prompt of one example. Raises DataError if the template names a field that the example lacks."""
        context = self.prefix + render(self.template, example.fields)
        return Prompt(context, tuple(CHOICE_DELIMITER + choice for choice in example.choices))

    def solved(self, example: Example, labels: Sequence[str]) -> Prompt:
        """Return the prompt with the right answer as its only continuation: what a training learns from."""
        context = self.prefix + render(self.template, example.fields)
        return Prompt(context, (CHOICE_DELIMITER + answer_text(example, labels),))

    @property
    def shared_prefix(self) -> str:
        """What every prompt begins with: the prefix, and the template up to its first field."""
        text = self.prefix
        for literal, field in _parts(self.template):
            text += literal
            if field is not None:
                break
        return text

    @property
    def ending(self) -> str:
        return ""

    def signature_fields(self) -> dict[str, Scalar]:
        """Return the `prompt.*` fields of a signature: everything of a prompt that is not the example's."""
        return {
            "prompt.template": self.template,
            "prompt.choice_delimiter": CHOICE_DELIMITER,
            "prompt.chat_template": None,
            "prompt.shots": self.shots,
            "prompt.prefix_sha256": hashlib.sha256(self.prefix.encode("utf-8", "surrogatepass")).hexdigest(),
        }


def answer_text(example: Example, labels: Sequence[str]) -> str:
    """Return the right answer of an example as a text.

    Args:
        example: The example.
        labels: Of its task, in the order of its choices; () if it has none.
    """
    return example.choices[labels.index(example.target)] if labels else example.target


def placeholders(template: str) -> tuple[str, ...]:
    """Return the names of the fields in a template, each once, in order.

    Raises:
        DataError: A field is more than a name, or the braces do not match.

    Example:
        >>> placeholders("Tweet: {text}\\nTopic: {topic}")
        ('text', 'topic')
    """
    return tuple(dict.fromkeys(name for _, name in _parts(template) if name is not None))


def render(template: str, fields: Mapping[str, Any]) -> str:
    """Fill a template. Values are text as they are; a list or mapping is written as JSON.

    Raises:
        DataError: The template names a field that is not there.

    Example:
        >>> render("Tweet: {text}", {"text": "so nice"})
        'Tweet: so nice'
    """
    try:
        return "".join(text if name is None else text + value_text(fields[name]) for text, name in _parts(template))
    except KeyError as error:
        raise DataError(f"prompt: no field {error.args[0]!r}; the example has: {', '.join(fields)}") from None


def choose_shots(shots: Shots, train: TaskData, seed: int) -> tuple[Example, ...]:
    """Choose solved examples: the first k of `train`, or k drawn without replacement.

    Args:
        shots: How many, and whether they are drawn.
        train: The split that they come from.
        seed: Of the draw, which depends on it and on the examples' ids alone.

    Raises:
        DataError: `train` has fewer than k.
    """
    if shots.k > len(train.examples):
        raise DataError(
            f"shots: expected at least {shots.k} examples, {train.split} has {len(train.examples)}; lower `k`"
        )
    if shots.sample == "first":
        return tuple(train.examples[: shots.k])
    by_id = sorted(train.examples, key=lambda example: example.id)
    drawn = np.random.default_rng(seed).choice(len(by_id), size=shots.k, replace=False)
    return tuple(by_id[position] for position in drawn)


def shots_text(template: str, shots: Sequence[Example], labels: Sequence[str]) -> str:
    """Return solved examples as text: each prompt followed by a space and its answer, each ending in a blank line."""
    return "".join(
        render(template, shot.fields) + CHOICE_DELIMITER + answer_text(shot, labels) + SHOT_DELIMITER for shot in shots
    )


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[tuple[str, str | None], ...]:
    """(literal text, name of the field that follows it or None) …"""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise DataError(f"prompt: {error}; write a literal brace as {{{{ or }}}}, got {template!r}") from error
    for _, name, spec, conversion in parsed:
        if name is not None and (not name or spec or conversion):
            written = f"{name}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}"
            raise DataError(
                f"prompt: {{{written}}} is not a plain placeholder; write {{name}} of a field or column, and a literal "
                "brace as {{ or }}"
            )
    return tuple((text, name) for text, name, _, _ in parsed)


def value_text(value: Any) -> str:
    """Return a value of the data as a model is shown it."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
