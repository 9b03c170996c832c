"""The order in which a training sees its examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlbaseline.engine.inference.tokenization import TargetSequence
from mlbaseline.suite import TrainedSpec

_WINDOW_BATCHES = 20
"""Examples are sorted by length within this many batches: little padding, and still another order every epoch."""

StepBatch = list[list[TargetSequence]]
"""The examples of one optimiser step, in the micro-batches that are computed one after the other."""


def shuffle_epoch(sequences: Sequence[TargetSequence], spec: TrainedSpec, seed: int, epoch: int) -> list[StepBatch]:
    """Shuffle the examples of an epoch into steps.

    Args:
        sequences: all training examples.
        spec: batch size and gradient accumulation.
        seed: of the training; together with `epoch` it decides the order.
        epoch: counted from 0.

    Returns:
        The steps of the epoch.
    """
    rng, batches = np.random.default_rng([seed, epoch]), list[list[TargetSequence]]()
    shuffled = [sequences[index] for index in rng.permutation(len(sequences))]
    window = spec.batch_size * _WINDOW_BATCHES
    for start in range(0, len(shuffled), window):
        nearby = sorted(shuffled[start : start + window], key=lambda sequence: len(sequence.input_tokens))
        batches += [nearby[i : i + spec.batch_size] for i in range(0, len(nearby), spec.batch_size)]
    size = spec.batch_size // spec.gradient_accumulation
    return [
        [batches[index][i : i + size] for i in range(0, len(batches[index]), size)]
        for index in rng.permutation(len(batches))
    ]
