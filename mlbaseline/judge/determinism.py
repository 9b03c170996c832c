"""How far two sets of answers to the same examples differ: in bits, in nats and in predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations

from mlbaseline.records import Answer

SMALL_SHARE = 0.25
"""Of the predictions in which two seeds differ: what repetitions may change and still be small beside the seeds."""


class Stability(str, Enum):
    """What the repetitions of a rung come to."""

    IDENTICAL = "identical"
    """Every answer has the same bits."""
    SMALL = "small"
    """Predictions change at most `SMALL_SHARE` as often as between two seeds of the rung whose seeds differ least."""
    LARGE = "large"
    """They change more often than that."""
    UNKNOWN = "unknown"
    """Answers differ, and there are no two seeds to compare that with."""


@dataclass(frozen=True)
class AnswerDifference:
    """How answers of a repetition differ from those of the first time.

    Attributes:
        n: Examples that both have answered.
        n_identical: Those whose log-likelihoods, sums and text are the same to the last bit.
        largest_nats: Largest difference of a log-likelihood; NaN where answers have none.
        n_predictions: Examples whose prediction differs.
        n_regrouped: Examples that shared their batch with others than the first time.
    """

    n: int
    n_identical: int
    largest_nats: float
    n_predictions: int
    n_regrouped: int = 0


def difference_of(expected: Mapping[str, Answer], found: Mapping[str, Answer]) -> AnswerDifference:
    """Compare the answers of a repetition with those of the first time.

    Args:
        expected: Example id ─▶ answer, the first time.
        found: The same of the repetition; it may have answered fewer examples.

    Returns:
        What differs, over the examples of `found`.

    Raises:
        KeyError: An example was not answered the first time.

    Example:
        >>> one, other = Answer("a", "x", loglik_nats=(-1.0, -2.0)), Answer("a", "x", loglik_nats=(-1.0, -2.5))
        >>> difference_of({"a": one}, {"a": other})
        AnswerDifference(n=1, n_identical=0, largest_nats=0.5, n_predictions=0, n_regrouped=0)
    """
    pairs = [(expected[name], answer) for name, answer in found.items()]
    nats = [gap for one, other in pairs for gap in _gaps(one, other)]
    before, after = _batches(expected), _batches(found)
    return AnswerDifference(
        n=len(pairs),
        n_identical=sum(_content(one) == _content(other) for one, other in pairs),
        largest_nats=max(nats, default=math.nan),
        n_predictions=sum(one.prediction != other.prediction for one, other in pairs),
        n_regrouped=sum(before[name] != after[name] for name in found),
    )


def _batches(answers: Mapping[str, Answer]) -> dict[str, frozenset[str]]:
    """Give for each example the ids that shared its batch; an answer without one was computed alone."""
    members: dict[object, set[str]] = {}
    for name, answer in answers.items():
        members.setdefault(name if answer.batch is None else answer.batch, set()).add(name)
    return {name: frozenset(batch) for batch in members.values() for name in batch}


def _content(answer: Answer) -> tuple[object, ...]:
    texts = (answer.prediction, answer.raw, answer.samples, answer.error)
    return (*texts, answer.loglik_nats, tuple(sorted(answer.sums.items())), answer.tokens_in, answer.tokens_out)


def _gaps(one: Answer, other: Answer) -> list[float]:
    """Return the absolute differences of the log-likelihoods, those of whole texts included."""
    ours, theirs = (
        [*answer.loglik_nats, *([answer.sums["nats"]] if "nats" in answer.sums else [])] for answer in (one, other)
    )
    if len(ours) != len(theirs):
        return [math.inf]
    return [0.0 if first == second else abs(first - second) for first, second in zip(ours, theirs, strict=True)]


def differing_share(predictions: Sequence[Mapping[str, object]]) -> float:
    """Compute how often two seeds of a rung predict differently, as a share of the examples, over all pairs of seeds.

    Args:
        predictions: For each seed, example id ─▶ prediction; at least two.

    Example:
        >>> differing_share([{"a": 1, "b": 1}, {"a": 1, "b": 0}, {"a": 1, "b": 0}])
        0.3333333333333333
    """
    shares = []
    for one, other in combinations(predictions, 2):
        common = one.keys() & other.keys()
        shares.append(sum(one[name] != other[name] for name in common) / max(len(common), 1))
    return sum(shares) / len(shares)


def judge_stability(differences: Sequence[AnswerDifference], seed_shares: Sequence[float]) -> Stability:
    """Judge what differs beside the seeds.

    Args:
        differences: Of the repetitions.
        seed_shares: For each rung with several seeds, how often two of them predict differently.

    Example:
        >>> moved = AnswerDifference(n=100, n_identical=90, largest_nats=0.1, n_predictions=1)
        >>> judge_stability([moved], [0.3, 0.05]).value, judge_stability([moved], [0.03]).value
        ('small', 'large')
    """
    if all(each.n_identical == each.n for each in differences):
        return Stability.IDENTICAL
    if not seed_shares:
        return Stability.UNKNOWN
    changed = max(each.n_predictions / each.n for each in differences)
    return Stability.SMALL if changed <= SMALL_SHARE * min(seed_shares) else Stability.LARGE
