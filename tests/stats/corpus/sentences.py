"""Sentences of two qualities and their references, for metrics of texts."""

from __future__ import annotations

import numpy as np


def sentences(n: int, seed: int, length: int = 12) -> tuple[list[str], list[str], list[str]]:
    """Two hypotheses of different quality and a reference."""
    rng = np.random.default_rng(seed)
    words = np.array("the cat sat on a mat and saw some dogs run off, far away. It rained".split())  # noqa: SIM905
    reference = words[rng.integers(0, len(words), size=(n, length))]

    def noisy(share: float) -> list[str]:
        changed = np.where(rng.random(reference.shape) < share, words[rng.integers(0, 15, reference.shape)], reference)
        return [" ".join(row[: rng.integers(length // 2, length + 1)]) for row in changed]

    return noisy(0.2), noisy(0.35), [" ".join(row) for row in reference]
