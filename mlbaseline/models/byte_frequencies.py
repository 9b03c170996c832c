"""The floor of a perplexity task: the likelihood of a text by the frequency of its bytes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np

from mlbaseline import suite
from mlbaseline.errors import DataError
from mlbaseline.models.trivial import SMOOTHING
from mlbaseline.records import Answer, Example, Scalar, TaskData

_BYTES = 256


class ByteFrequencies:
    """A rule as a `records.Model`: the likelihood of every byte by itself, whatever its neighbours.

    - uniform: each as likely as any other, 8 bits a byte.
    - stratified: with its frequency in the texts of `train`, smoothed as labels are (see `TrivialRule`).

    It has no tokens, and therefore no perplexity per token.
    """

    def __init__(self, spec: suite.Trivial, *, train: TaskData | None) -> None:
        """Count bytes. Raises DataError if the suite has no train split and the strategy needs one."""
        self._strategy, self._train_digest = spec.strategy, None
        counts: Counter[int] = Counter()
        if spec.strategy == "stratified":
            if train is None:
                raise DataError("baseline stratified: counts bytes in the split train, which the suite does not have")
            self._train_digest = train.digest
            for example in train.examples:
                counts.update(_bytes(example.target))
        weights = np.array([counts[byte] + SMOOTHING for byte in range(_BYTES)])
        self._nats = -np.log(weights / weights.sum())

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer every example, in their order."""
        for example in examples:
            start_s = perf_counter()
            nats = float(self._nats[np.frombuffer(_bytes(example.target), dtype=np.uint8)].sum())
            took_s = perf_counter() - start_s
            yield Answer(example.id, None, sums={"nats": nats}, compute_s=took_s, latency_s=took_s)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return what the answers depend on beside the data, as `model.*` fields of a signature."""
        return {
            "model.kind": "trivial",
            "model.strategy": f"bytes, {self._strategy}",
            "model.train_digest": self._train_digest,
            "model.smoothing": SMOOTHING,
        }


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
