"""Rules that need no model: the floor that every real model has to exceed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np

from mlbaseline import suite
from mlbaseline.errors import DataError
from mlbaseline.records import Answer, Example, Scalar, TaskData, digest_of
from mlbaseline.untrusted import TimedPattern

SMOOTHING = 1.0
"""Added to every label's count before log-likelihoods are taken (Laplace's rule of succession), so that a label that
`train` lacks costs a finite number of nats. Predictions use the counts as they are."""


class TrivialRule:
    """A rule as a `records.Model`.

    - majority: the most frequent label of `train`, of equally frequent ones the first in label order.
    - stratified: a label drawn with the frequencies of `train`.
    - uniform: a label drawn with equal chances.
    - keyword: the first rule whose pattern is found in the example's prompt fields, else the default label.
    - constant: the default label for all.

    Where a task has no labels, the targets of `train` are the possible answers. The log-likelihoods of the first two
    are those of the smoothed frequencies of `train`, those of uniform are log(1/k); the others, and answers that are no
    labels, have none. A draw depends only on `seed` and the example's id, not on the other examples or their order.
    """

    def __init__(
        self,
        spec: suite.Trivial,
        *,
        labels: Sequence[str],
        train: TaskData | None = None,
        seed: int | None = None,
        fields: Sequence[str] = (),
    ) -> None:
        """Prepare a strategy.

        Args:
            spec: the baseline.
            labels: of the task, () if it has none.
            train: for majority and stratified.
            seed: for stratified and uniform.
            fields: those that the prompt shows, for keyword; the others may hold the target.

        Raises:
            DataError: the suite has no train split and the strategy needs one.
        """
        if spec.strategy in ("majority", "stratified") and train is None:
            raise DataError(
                f"baseline {spec.strategy}: counts labels in the split train, which the suite does not have"
            )
        if spec.is_random and seed is None:
            raise ValueError(f"{spec.strategy} draws its answers: give a seed")
        self._spec, self._seed, self._fields = spec, seed, tuple(fields)
        self._train_digest = train.digest if train is not None and spec.strategy in ("majority", "stratified") else None
        counts = Counter(example.target for example in train.examples) if train is not None else Counter()
        self._labels = tuple(labels) or tuple(sorted(counts))
        weights = np.array([1.0 if spec.strategy == "uniform" else counts[label] for label in self._labels])
        self._upper = np.cumsum(weights)
        self._most_frequent = self._labels[int(np.argmax(weights))] if len(weights) else ""
        smoothed = (weights + SMOOTHING) / (weights + SMOOTHING).sum()
        is_counted = bool(labels) and spec.strategy in ("majority", "stratified", "uniform")
        self._loglik_nats = tuple(math.log(share) for share in smoothed) if is_counted else ()
        self._rules = [(label, TimedPattern(rule, f"rules.{label}")) for label, rule in (spec.rules or {}).items()]

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer every example, in their order."""
        for example in examples:
            start_s = perf_counter()
            prediction = self._predict(example)
            took_s = perf_counter() - start_s
            yield Answer(example.id, prediction, self._loglik_nats, compute_s=took_s, latency_s=took_s)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return what the answers depend on beside data and seed, as `model.*` fields of a signature."""
        return {
            "model.kind": "trivial",
            "model.strategy": self._spec.strategy,
            "model.rules_digest": digest_of([*(self._spec.rules or {}).items(), self._spec.default])
            if self._spec.default is not None
            else None,
            "model.fields": ",".join(self._fields) if self._spec.rules is not None else None,
            "model.train_digest": self._train_digest,
            "model.smoothing": SMOOTHING if self._loglik_nats else None,
        }

    def _predict(self, example: Example) -> str:
        if self._spec.strategy == "majority":
            return self._most_frequent
        if self._spec.strategy == "constant":
            return str(self._spec.default)
        if self._spec.strategy == "keyword":
            text = "\n".join(str(example.fields[field]) for field in self._fields)
            return next((label for label, rule in self._rules if rule.search(text)), str(self._spec.default))
        point = self._draw(example.id) * self._upper[-1]
        return self._labels[int(np.searchsorted(self._upper, point, side="right"))]

    def _draw(self, example_id: str) -> float:
        """Draw uniformly from [0, 1), with a generator of this example's own."""
        name = f"{self._spec.strategy}\n{example_id}".encode("utf-8", "surrogatepass")
        stream = int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
        return float(np.random.default_rng([self._seed or 0, stream]).random())
