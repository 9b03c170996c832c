"""The sources of randomness of a rung, each of which may have a seed of its own."""

from __future__ import annotations

from enum import Enum

from mlbaseline.suite import Peft, Pretrained, ReadyAdapter, ReadyModel, Suite, TrainedSpec


class RandomSource(str, Enum):
    """What a seed decides."""

    INITIALISATION = "initialisation"
    """The first weights of an adapter."""
    ORDER = "order"
    """The order of the training data, and dropout."""
    SHOTS = "shots"
    """Which solved examples stand in the prompt."""
    DECODING = "decoding"
    """What is drawn while a text is generated."""


def random_sources(suite: Suite, name: str) -> tuple[RandomSource, ...]:
    """List the sources of randomness of a baseline that can be told apart.

    Args:
        suite: The suite.
        name: Of the baseline.

    Returns:
        Empty where nothing is random, or where another program or server takes one seed for all.
    """
    spec = suite.baselines[name]
    if not isinstance(spec, TrainedSpec | Pretrained | ReadyModel | ReadyAdapter):
        return ()
    found = []
    if isinstance(spec, Peft):  # a full fine-tune starts from the weights of its base
        found.append(RandomSource.INITIALISATION)
    if isinstance(spec, TrainedSpec):
        found.append(RandomSource.ORDER)
    if isinstance(spec, Pretrained) and spec.shots is not None and spec.shots.sample == "seed":
        found.append(RandomSource.SHOTS)
    if suite.task.is_random:
        found.append(RandomSource.DECODING)
    return tuple(found)
