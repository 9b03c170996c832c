"""People's labels of a judged metric: which answers are drawn for them, and which score a label gives an answer.

An answer is known by its content: its item is a digest of the example, the answer and, where two are compared, the
other answer. A sheet of items therefore does not tell which model wrote what, and a label is of exactly this answer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbaseline.results import ResultTable

Array = npt.NDArray[np.float64]
Answers = Mapping[str, str | None]
"""example id ─▶ the answer; None where there is none, because it failed."""
_ITEM_LENGTH = 16


@dataclass(frozen=True)
class Labels:
    """What people said of the items of one judged metric.

    Attributes:
        votes: Item ─▶ annotator ─▶ score from 0 to 1; of two answers that of the one that the sheet shows as A.
        drawn: Number of examples that were drawn for them.
        sha256: Of the file that they come from.
    """

    votes: Mapping[str, Mapping[str, float]]
    drawn: int
    sha256: str

    def score(self, item: str) -> float | None:
        """Return the mean over the annotators of an item; None where nobody labelled it."""
        votes = self.votes.get(item)
        return float(np.mean(list(votes.values()))) if votes else None


@dataclass(frozen=True)
class JudgedItem:
    """An answer as people and judges know it. is_swapped: the sheet shows the other answer as A."""

    id: str
    is_swapped: bool = False


def score_without_judge(answer: str | None, other: str | None, *, is_pair: bool) -> float | None:
    """Return the score of an answer about which nobody has to be asked; None where somebody has.

    A failed answer is the worst; of two, the one that did not fail is preferred, and equal answers are a tie.

    Example:
        >>> score_without_judge(None, None, is_pair=False), score_without_judge("so", "so", is_pair=True)
        (0.0, 0.5)
    """
    if not is_pair:
        return 0.0 if answer is None else None
    if answer == other:
        return 0.5
    if answer is None or other is None:
        return float(other is None)
    return None


def answers_of(table: ResultTable) -> dict[str, str | None]:
    """Return the answers of a table by example id; None where an answer failed."""
    frame = table.frame
    failed = frame["error"].notna() | frame["prediction"].isna()
    rows = zip(frame["example_id"], frame["prediction"], failed, strict=True)
    return {str(id): None if is_failed else str(text) for id, text, is_failed in rows}


def answers_sha256(answers: Answers) -> str:
    """Return a digest of answers: what pairwise scores were made against."""
    content = hashlib.sha256()
    for id, answer in sorted(answers.items()):
        content.update(_framed(id, "" if answer is None else f"={answer}"))
    return content.hexdigest()


def item_of(metric: str, example_id: str, answer: str, other: str | None = None) -> JudgedItem:
    """Return the item of an answer. other: the answer that it is compared with, which has the same item.

    Example:
        >>> item_of("better", "e1", "yes", "no").id == item_of("better", "e1", "no", "yes").id
        True
    """
    if other is None:
        return JudgedItem(_digest(metric, example_id, answer)[:_ITEM_LENGTH])
    first, second = sorted((answer, other))
    digest = _digest(metric, example_id, first, second)
    # A further digit decides which one the sheet shows first: by chance, and the same every time.
    shown_first = first if int(digest[_ITEM_LENGTH], 16) % 2 else second
    return JudgedItem(digest[:_ITEM_LENGTH], answer != shown_first)


def draw_order(example_ids: Sequence[str], *, data_digest: str, metric: str) -> list[str]:
    """Return the examples in the order in which they are drawn for people.

    It depends on the content of the data and on the metric's name alone: nobody chooses it, it stands before any
    answer is known, and more labels continue it. The first N of n examples are a simple random sample, in which each
    example is with probability N/n.

    Args:
        example_ids: Of the split.
        data_digest: Of its content.
        metric: Name of the metric.
    """
    return sorted(example_ids, key=lambda id: _digest("labels", data_digest, metric, id))


def label_scores(table: ResultTable, metric: str, labels: Labels, against: Answers | None) -> Array:
    """Return people's scores (n,) of a table's answers, NaN where there is none.

    Args:
        table: The answers.
        metric: Name of the metric.
        labels: Of people.
        against: The answers that each is compared with; None where each is judged alone.
    """
    scores = []
    for id, answer in answers_of(table).items():
        other = None if against is None else against.get(id)
        settled = score_without_judge(answer, other, is_pair=against is not None)
        scores.append(settled if settled is not None else _labelled(metric, labels, id, str(answer), other))
    return np.array(scores, dtype=float)


def _labelled(metric: str, labels: Labels, example_id: str, answer: str, other: str | None) -> float:
    item = item_of(metric, example_id, answer, other)
    score = labels.score(item.id)
    if score is None:
        return math.nan
    return 1.0 - score if item.is_swapped else score


def _digest(*parts: str) -> str:
    return hashlib.sha256(b"".join(_framed(part) for part in parts)).hexdigest()


def _framed(*parts: str) -> bytes:
    """Parts with their lengths, so that no two lists of parts are written alike."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)
