"""Small parts that the tests of the engine share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mlbaseline.records import Example, TaskData, digest_of
from mlbaseline.suite import ChoiceTask

LABELS = ("negative", "neutral", "positive")
PHRASES = ("very bad indeed", "so-so", "what a wonderful thing")
TEMPLATE = "Tweet: {text}\nSentiment:"
TASK = ChoiceTask.model_validate(
    {
        "kind": "choice",
        "data": {"test": "test.csv"},
        "columns": {"text": "text", "target": "target"},
        "prompt": TEMPLATE,
        "choices": LABELS,
    }
)
TEXTS = (
    "the flight was late",
    "thank you, what a wonderful crew! Best airline ever, see you all next year I hope",
    "driverless cars are tested on public roads",
    "no",
    "I am not happy about it: lost bags, no answer, and now the second day of waiting for a call",
    "ok",
    "Best airline",
)
SHOTS = "Tweet: late again\nSentiment: negative\n\nTweet: a wonderful crew\nSentiment: positive\n\n"


def make_examples(choices: Sequence[str] = LABELS, *, n: int = len(TEXTS), prefix: str = "e") -> tuple[Example, ...]:
    """Examples whose text and target depend on their number."""
    return tuple(
        Example(f"{prefix}{i:03}", {"text": f"{TEXTS[i % len(TEXTS)]} {i}"}, LABELS[i % 3], tuple(choices))
        for i in range(n)
    )


def make_data(split: str, n: int) -> TaskData:
    """A split of learnable examples: the text names its target."""
    words = ("bad", "so so", "wonderful")
    examples = tuple(
        Example(f"{split}{i:03}", {"text": f"it is {words[i % 3]}" + " very" * (i % 5)}, LABELS[i % 3], LABELS)
        for i in range(n)
    )
    return TaskData(split, examples, LABELS, digest_of([example.id for example in examples]))


def write_data(path: Path, n: int, **columns: object) -> None:
    """Write n learnable examples, all different, as CSV with the columns text and target. columns: further ones."""
    examples = make_data("any", n).examples
    rows = [
        {"text": f"{example.fields['text']} {index}", "target": example.target, **columns}
        for index, example in enumerate(examples)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
