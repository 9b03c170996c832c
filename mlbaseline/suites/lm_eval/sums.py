"""Documents of the packaged task `sums` of lm-evaluation-harness, which calls `documents` by its name."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

SEED = 13
N_TRAIN, N_TEST = 100, 200
_WRONG_BY = (-10, -1, 10)
"""Errors that people make: a carry that was lost or added, and a slip of one."""


def documents(**_: Any) -> dict[str, Dataset]:
    """Draw sums of different pairs of numbers below 100, with four choices each.

    Returns:
        Split ─▶ documents with `first`, `second`, `choices` and the position of the right one.

    Example:
        >>> documents()["test"][0]
        {'first': 90, 'second': 94, 'choices': ['194', '183', '174', '184'], 'right': 3}
    """
    from datasets import Dataset  # comes with lm-eval

    draw = random.Random(SEED)  # noqa: S311 (no secret depends on it)
    pairs = draw.sample([(first, second) for first in range(10, 100) for second in range(10, 100)], N_TRAIN + N_TEST)
    drawn = [_document(first, second, draw) for first, second in pairs]
    return {"train": Dataset.from_list(drawn[:N_TRAIN]), "test": Dataset.from_list(drawn[N_TRAIN:])}


def _document(first: int, second: int, draw: random.Random) -> dict[str, Any]:
    right = first + second
    choices = [str(right), *(str(right + error) for error in _WRONG_BY)]
    draw.shuffle(choices)
    return {"first": first, "second": second, "choices": choices, "right": choices.index(str(right))}
