"""Metrics of a generated text against the accepted answers, of which the best counts.

Error rows count as wrong; for BLEU and chrF as an empty text. Where several texts were drawn, all metrics but pass@k
are those of the first.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np

from mlbaseline import stats
from mlbaseline.metrics.metric import Array, CorpusRows, Metric
from mlbaseline.results import ResultTable
from mlbaseline.stats import CorpusMetric

K = "metric.k"
"""Field of a signature: the k of pass@k; 1 without it."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_AROUND_NUMBERS = string.whitespace + "".join(set(string.punctuation) - set("-+.$"))
_NUMBER = re.compile(r"[-+]?(\d{1,3}(,\d{3})+(\.\d*)?|\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?")


@dataclass(frozen=True)
class Texts:
    """A result table as texts.

    Attributes:
        predictions: None in error rows.
        accepted: The accepted texts of each example, the target first.
    """

    predictions: list[str | None]
    accepted: list[tuple[str, ...]]

    def score(self, score: Callable[[str, str], float]) -> Array:
        """Return the best score (n,) of each prediction against the accepted texts; 0 in error rows.

        Args:
            score: Scores a prediction against one accepted text.
        """
        return np.array(
            [
                0.0 if prediction is None else max(score(prediction, reference) for reference in accepted)
                for prediction, accepted in zip(self.predictions, self.accepted, strict=True)
            ]
        )


def read_texts(table: ResultTable) -> Texts | None:
    """Return a table as texts; None where the rows hold no predictions, and none of them is an error."""
    frame = table.frame
    if frame["prediction"].isna().all() and frame["error"].isna().all():
        return None
    further = frame["references"] if "references" in frame else [()] * len(frame)
    return Texts(
        [_text(prediction) for prediction in frame["prediction"]],
        [(str(target), *map(str, more)) for target, more in zip(frame["target"], further, strict=True)],
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def normalise(text: str) -> str:
    """Normalise a text as SQuAD's evaluation does (Rajpurkar et al. 2016).

    Returns:
        The text in lower case, without punctuation, English articles and repeated white space.

    Example:
        >>> normalise("The  soup, again!")
        'soup again'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def number_of(text: str) -> Decimal | None:
    """Return the number that a text is; None where it is anything else.

    Example:
        >>> [number_of(text) for text in ("1,234", "$12.50", "(42)", "42 eggs")]
        [Decimal('1234'), Decimal('12.50'), Decimal('42'), None]
    """
    plain = re.sub(r"^([-+]?)[$€£]\s*", r"\1", text.strip(_AROUND_NUMBERS)).removesuffix(".")
    return Decimal(plain.replace(",", "")) if _NUMBER.fullmatch(plain) else None


def is_match(prediction: str, reference: str) -> bool:
    """Tell whether two texts are equal: as numbers where one is a number, else after `normalise`.

    Texts of which normalising leaves nothing (`?!`, `the`) are compared as they are, without surrounding white space.

    Example:
        >>> is_match("$1,000", "1000.0"), is_match("The soup.", "soup"), is_match("5", "five")
        (True, True, False)
    """
    numbers = number_of(prediction), number_of(reference)
    if numbers != (None, None):
        return numbers[0] == numbers[1]
    ours, theirs = normalise(prediction), normalise(reference)
    return ours == theirs if ours and theirs else prediction.strip() == reference.strip()


def token_f1(prediction: str, reference: str) -> float:
    """Return the harmonic mean of the shares of normalised words in common, as SQuAD defines it.

    Example:
        >>> token_f1("the red soup", "soup")
        0.6666666666666666
    """
    ours, theirs = normalise(prediction).split(), normalise(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = (Counter(ours) & Counter(theirs)).total()
    return 2 * common / (len(ours) + len(theirs))


def is_contained(prediction: str, reference: str) -> bool:
    """Tell whether the accepted text stands in the prediction, both normalised, as whole words."""
    return f" {normalise(reference)} " in f" {normalise(prediction)} "


def rouge_l(prediction: str, reference: str) -> float:
    """Return the F-measure of ROUGE-L by the package rouge-score, without stemming: Latin letters and digits only."""
    return float(_rouge().score(reference, prediction)["rougeL"].fmeasure)


@lru_cache(maxsize=1)
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"])


def is_json(text: str) -> bool:
    """Tell whether the whole text is one JSON value, by the standard: NaN and Infinity are none."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Return the probability that one of k samples is correct, drawn from n samples without replacement.

    It is the unbiased estimator of Chen et al. 2021, 1 − C(n − c, k) / C(n, k).

    Args:
        n: Number of samples.
        correct: Number of correct ones among them, from 0 to n.
        k: From 1 to n.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> pass_at_k(10, 3, 1)
        0.30000000000000004
    """
    if not 0 < k <= n or not 0 <= correct <= n:
        raise ValueError(f"expected 0 < k ≤ n and 0 ≤ correct ≤ n, got k {k}, n {n}, correct {correct}")
    return 1.0 - comb(n - correct, k) / comb(n, k)


def _best(score: Callable[[str, str], float]) -> Callable[[ResultTable, Sequence[str]], Array | None]:
    def per_example(table: ResultTable, _: Sequence[str]) -> Array | None:
        texts = read_texts(table)
        return None if texts is None else texts.score(score)

    return per_example


def _passes(table: ResultTable, _: Sequence[str]) -> Array | None:
    texts, k = read_texts(table), int(str(table.signature.fields.get(K, 1)))
    if texts is None:
        return None
    drawn = table.frame["samples"] if "samples" in table.frame else [()] * len(table.frame)
    scores = []
    for first, several, accepted in zip(texts.predictions, drawn, texts.accepted, strict=True):
        samples = [str(text) for text in several] or ([] if first is None else [first])
        if samples and len(samples) < k:
            return None  # of another tool, which drew fewer than the suite needs
        correct = sum(any(is_match(text, reference) for reference in accepted) for text in samples)
        scores.append(pass_at_k(len(samples), correct, k) if samples else 0.0)
    return np.array(scores)


def _corpus(
    metric: Callable[[], CorpusMetric],
) -> Callable[[ResultTable, Sequence[str]], CorpusRows | None]:
    def corpus(table: ResultTable, _: Sequence[str]) -> CorpusRows | None:
        texts = read_texts(table)
        if texts is None:
            return None
        most = max(map(len, texts.accepted))
        # A reference set holds one text an example; sacreBLEU takes an empty one for "no further reference".
        sets = [[right[i] if i < len(right) else "" for right in texts.accepted] for i in range(most)]
        chosen = metric()
        return CorpusRows.of_statistics(
            chosen, chosen.statistics([prediction or "" for prediction in texts.predictions], sets)
        )

    return corpus


TEXT_METRICS = (
    Metric("exact_match", True, per_example=_best(is_match), lowest=0, highest=1),
    Metric("token_f1", True, per_example=_best(token_f1), lowest=0, highest=1),
    Metric("contains", True, per_example=_best(is_contained), lowest=0, highest=1),
    Metric("rouge_l", True, per_example=_best(rouge_l), lowest=0, highest=1),
    Metric("json_valid", True, per_example=_best(lambda prediction, _: is_json(prediction)), lowest=0, highest=1),
    Metric("pass_at_k", True, per_example=_passes, lowest=0, highest=1),
    Metric("bleu", True, corpus=_corpus(stats.bleu)),
    Metric("chrf", True, corpus=_corpus(stats.chrf)),
)
