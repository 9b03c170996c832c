"""How the words of live items changed. It explains a rise of the loss, and is never a reason for an alarm by itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_WORD = re.compile(r"\w+")
_SEED = 0


@dataclass(frozen=True)
class VocabularyShift:
    """Words of live items beside those of the suite's data. Both are compared with the same part of that data.

    Attributes:
        items: Number of live items, and of items of the suite's data that stand in for "no change".
        unknown: Share of the words of live items that the other part of the suite's data does not have.
        suite_unknown: The same of the suite's own items: what chance and rare words alone bring.
        divergence: Jensen–Shannon divergence of the two distributions of words, in bits, from 0 to 1.
        suite_divergence: The same of the suite's own items.
    """

    items: int
    unknown: float
    suite_unknown: float
    divergence: float
    suite_divergence: float


def vocabulary_shift(live: Sequence[str], recorded: Sequence[str]) -> VocabularyShift | None:
    """Compare the words of live items with those of the suite's data.

    Args:
        live: Texts of live items, in random order.
        recorded: Texts of the suite's data.

    Returns:
        The shift; None where one side has too few texts, or no words.

    Example:
        >>> recorded = ["the train was late", "the bus was late", "the train was full", "the bus was full"]
        >>> vocabulary_shift(["my card was stolen", "my card was lost"], recorded).unknown
        0.75
    """
    n = min(len(live), len(recorded) // 2)
    order = np.random.default_rng(_SEED).permutation(len(recorded)).tolist()
    rest = _words(recorded[position] for position in order[n:])
    ours, own = _words(live[:n]), _words(recorded[position] for position in order[:n])
    if not (rest and ours and own):
        return None
    return VocabularyShift(n, _unknown(ours, rest), _unknown(own, rest), divergence(ours, rest), divergence(own, rest))


def divergence(one: Counter[str], other: Counter[str]) -> float:
    """Compute the Jensen–Shannon divergence of two counts of words, in bits (Lin 1991)."""
    words = sorted({*one, *other})
    p, q = (np.array([counts[word] for word in words]) / counts.total() for counts in (one, other))
    mean = (p + q) / 2.0
    return float(sum((side[side > 0] * np.log2(side[side > 0] / mean[side > 0])).sum() for side in (p, q)) / 2.0)


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in _WORD.findall(text.lower()))


def _unknown(counts: Counter[str], known: Counter[str]) -> float:
    return sum(count for word, count in counts.items() if word not in known) / counts.total()
