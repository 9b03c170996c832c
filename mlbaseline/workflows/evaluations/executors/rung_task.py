"""What the nodes of a cluster are asked to do: how the rungs of a ladder are divided into tasks.

A task carries names and digests, never weights or rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlbaseline.suite import (
    External,
    Human,
    Production,
    Recorded,
    Split,
    Suite,
    TrainedSpec,
    Trivial,
)
from mlbaseline.version import __version__

_EXAMPLES_EACH = 50
"""For fewer, a node does not open a model that another one has opened."""


@dataclass(frozen=True)
class LadderAddress:
    """How a node finds the suite, its data and the ladder.

    Attributes:
        suite: Path of the suite file, or name of a packaged suite.
        suite_digest: Digest that the suite must have there.
        data_digest: Digest that the examples to answer must have there.
        split: Which examples are answered.
        tracking_uri: The tracking server.
        run_id: Of the ladder.
        version: Of mlbaseline.
    """

    suite: str
    suite_digest: str
    data_digest: str
    split: Split
    tracking_uri: str
    run_id: str
    version: str = __version__


@dataclass(frozen=True)
class RungTask:
    """One baseline with some seeds, to be evaluated on a node.

    Attributes:
        name: For people.
        ladder: How the node finds the suite and the ladder.
        baseline: Its name.
        seeds: Its seeds.
        fresh: Whether it is evaluated again even where a completed run could be reused.
        threads: Threads to compute with, as their number can change the last bits.
    """

    name: str
    ladder: LadderAddress
    baseline: str
    seeds: tuple[int, ...]
    fresh: bool
    threads: int


def computes(suite: Suite, name: str) -> bool:
    """Tell whether a rung takes a model that is loaded, so that another machine can be better at it.

    What is asked over the network stays here, where its keys are, and its answers so far.
    """
    spec = suite.baselines[name]
    is_endpoint = isinstance(spec, Production) and spec.endpoint is not None
    return not isinstance(spec, Trivial | External | Human | Recorded) and not is_endpoint


def split_seeds(suite: Suite, name: str, seeds: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Split the seeds of a baseline into tasks.

    Args:
        suite: The suite.
        name: Of the baseline.
        seeds: Its seeds.

    Returns:
        Name of each task ─▶ its seeds: one where a seed makes a rung of its own. The registry alone knows whether that
        of a registered model does, so that its seeds stay together.
    """
    is_alone = suite.is_random(name) and not isinstance(suite.baselines[name], Production)
    return {f"{name} (seed {seed})": (seed,) for seed in seeds} if is_alone else {name: tuple(seeds)}


def training_processes(suite: Suite, name: str) -> int:
    """Return how many processes train a rung together."""
    spec = suite.baselines[name]
    return spec.training.processes if isinstance(spec, TrainedSpec) and spec.training else 1


def count_helpers(suite: Suite, name: str, n_examples: int, slots: int) -> int:
    """Return how many further nodes may compute batches of a rung. It must be worth opening the model there.

    Args:
        suite: The suite.
        name: Of the baseline.
        n_examples: Number of examples that it answers.
        slots: How many models the cluster has room for at a time.
    """
    is_registered = isinstance(suite.baselines[name], Production)  # answers as it was packaged
    return 0 if is_registered else max(0, min(slots, n_examples // _EXAMPLES_EACH) - 1)
