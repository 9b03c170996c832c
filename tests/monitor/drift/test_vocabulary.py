"""The words of live items beside those of the suite's data."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from mlbaseline.monitor.drift.vocabulary import divergence, vocabulary_shift

WORDS = [f"word{number}" for number in range(200)]


def texts(n: int, seed: int, words: list[str] = WORDS) -> list[str]:
    """Texts of ten words each, the first words being the most frequent."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, len(words) + 1)
    return [" ".join(rng.choice(words, 10, p=weights / weights.sum())) for _ in range(n)]


def test_the_divergence_is_that_of_scipy() -> None:
    one, other = Counter(texts(1, 1)[0].split()), Counter(texts(1, 2)[0].split())
    words = sorted({*one, *other})
    expected = jensenshannon([one[word] for word in words], [other[word] for word in words], base=2) ** 2
    assert divergence(one, other) == pytest.approx(expected)


def test_without_a_change_live_items_are_as_the_suite_s_own() -> None:
    found = vocabulary_shift(texts(300, 1), texts(800, 2))
    assert found is not None
    assert found.items == 300
    assert found.divergence == pytest.approx(found.suite_divergence, abs=0.01)
    assert found.unknown == pytest.approx(found.suite_unknown, abs=0.01)


def test_new_words_and_other_frequencies_show() -> None:
    recorded = texts(800, 2)
    new = vocabulary_shift(texts(300, 1, [f"new{number}" for number in range(50)]), recorded)
    other = vocabulary_shift(texts(300, 1, WORDS[::-1]), recorded)
    assert new is not None and other is not None
    assert (new.unknown, new.divergence) == (1.0, pytest.approx(1.0))
    assert other.unknown < 0.01
    assert other.divergence > 10 * other.suite_divergence


def test_where_nothing_can_be_compared() -> None:
    assert vocabulary_shift([], texts(10, 1)) is None
    assert vocabulary_shift(["a"], ["one text"]) is None
    assert vocabulary_shift(["+", "-"], ["a", "b", "c", "d"]) is None
