"""How fast a rung trains and answers on this machine, from a few timed steps and examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from mlbaseline.engine.hardware import measure_peak_memory
from mlbaseline.engine.inference.timing import evenly_spaced
from mlbaseline.records import Example, Model
from mlbaseline.suite import Lora

if TYPE_CHECKING:
    from mlbaseline.engine.rungs import OpenedRung
    from mlbaseline.engine.training.job import TrainingJob

_WARM_UP = 2
_GROUPS, _GROUP_S = 2, 3.0
"""Groups of examples that are timed, and about how long one takes."""
_GROUP_EXAMPLES = 48
_STEPS = 4
"""Training steps that are timed, the first of them apart: it computes once what later steps and seeds reuse."""
_DEV_EXAMPLES = 8


@dataclass(frozen=True)
class SecondsRange:
    """A time, from what the fastest and the slowest of the timed parts would make of it.

    Example:
        >>> SecondsRange(1.0, 2.0) + SecondsRange.exactly(1.0).times(3)
        SecondsRange(low=4.0, high=5.0)
    """

    low: float = 0.0
    high: float = 0.0

    @classmethod
    def exactly(cls, seconds: float) -> SecondsRange:
        """Make a range of one value."""
        return cls(seconds, seconds)

    @classmethod
    def over(cls, seconds: Sequence[float]) -> SecondsRange:
        """Span the values of timed parts."""
        return cls(min(seconds), max(seconds))

    def __add__(self, other: SecondsRange) -> SecondsRange:
        return SecondsRange(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> SecondsRange:
        """Scale both ends."""
        return SecondsRange(self.low * factor, self.high * factor)


NO_TIME = SecondsRange()


@dataclass(frozen=True)
class AnsweringPace:
    """How fast a rung answers.

    Attributes:
        load_s: Time until the model is loaded.
        example_s: Time of an example in batches.
        alone_s: Time of an example by itself; 0 where nothing is timed alone.
        peak_bytes: Most memory of the process or GPU while it answered.
    """

    load_s: float
    example_s: SecondsRange
    alone_s: float
    peak_bytes: int

    def seconds(self, n_examples: int, n_alone: int) -> SecondsRange:
        """Compute the time of a split. n_alone: how many of its examples are timed alone, too."""
        fixed = SecondsRange.exactly(self.load_s + self.alone_s * min(n_alone, n_examples))
        return fixed + self.example_s.times(n_examples)


@dataclass(frozen=True)
class TrainingPace:
    """How fast a training is.

    Attributes:
        load_s: Time until the first step.
        once_s: What the first step takes beyond its tokens, and later seeds do not.
        token_s: Time of a token of the training examples.
        dev_example_s: Time to score an example of dev.
        n_tokens: Tokens of all epochs.
        n_dev_examples: Scored examples of dev, of all epochs.
        n_layers: Layers of the model.
        peak_bytes: Most memory of the process or GPU.
    """

    load_s: float
    once_s: float
    token_s: SecondsRange
    dev_example_s: float
    n_tokens: int
    n_dev_examples: int
    n_layers: int
    peak_bytes: int

    @property
    def seconds(self) -> SecondsRange:
        """The time of one seed after the first."""
        fixed = SecondsRange.exactly(self.load_s + self.dev_example_s * self.n_dev_examples)
        return fixed + self.token_s.times(self.n_tokens)


def measure_answering(open_: Callable[[], OpenedRung], examples: Sequence[Example], device: str) -> AnsweringPace:
    """Load a rung and let it answer a few examples, evenly spread over all.

    Args:
        open_: Loads it.
        examples: Of the split, at least one.
        device: On which it computes.

    Returns:
        Its pace. Results are kept where the rung keeps them.
    """
    ordered = sorted(examples, key=lambda example: example.id)
    with measure_peak_memory(device) as peak:
        started = perf_counter()
        model = open_().model
        load_s = perf_counter() - started
        warm_up = [ordered[i] for i in evenly_spaced(len(ordered), _WARM_UP)]
        first_s, alone = _time(model, warm_up)
        size = max(1, min(_GROUP_EXAMPLES, int(_GROUP_S / max(first_s, 1e-4))))
        chosen = evenly_spaced(len(ordered), _GROUPS * size)
        groups = [[ordered[i] for i in chosen[start::_GROUPS]] for start in range(_GROUPS)]
        example_s = SecondsRange.over([_time(model, group)[0] for group in groups if group])
    return AnsweringPace(load_s, example_s, median(alone) if alone else 0.0, peak.bytes)


def _time(model: Model, examples: Sequence[Example]) -> tuple[float, list[float]]:
    """Return the seconds of an example in batches, and those of the examples that were timed alone."""
    started = perf_counter()
    answers = list(model.answer(examples))
    spent = perf_counter() - started
    alone = [answer.latency_s for answer in answers if answer.latency_s is not None]
    return max(spent - sum(alone), 0.0) / len(examples), alone


def measure_training(job: TrainingJob) -> TrainingPace:
    """Make the first steps of a training, which is then dropped.

    Raises:
        DataError: A training example cannot be encoded.
        AssetError: The base cannot be loaded.
    """
    from mlbaseline.engine.training.epochs import shuffle_epoch
    from mlbaseline.engine.training.loop import TrainingRun

    n_dev = len(job.dev.examples) if job.dev else 0
    if job.dev is not None:
        some = [job.dev.examples[i] for i in evenly_spaced(n_dev, _DEV_EXAMPLES)]
        job = replace(job, dev=replace(job.dev, examples=tuple(some)))
    with TemporaryDirectory(prefix="mlbaseline-") as folder, measure_peak_memory(job.device) as peak:
        started = perf_counter()
        training = TrainingRun(job, Path(folder))
        load_s = perf_counter() - started
        try:
            paces: list[tuple[float, int]] = []
            for batch in shuffle_epoch(training.sequences, job.spec, job.seed, 0)[:_STEPS]:
                started = perf_counter()
                training.step(batch)
                n_tokens = sum(len(sequence.input_tokens) for part in batch for sequence in part)
                paces.append((perf_counter() - started, n_tokens))
            started = perf_counter()
            training.measure_dev()
            dev_s = perf_counter() - started
            n_tokens = sum(len(sequence.input_tokens) for sequence in training.sequences)
            n_layers = int(training.bare.config.get_text_config().num_hidden_layers)
        finally:
            training.release()
    token_s = SecondsRange.over([seconds / tokens for seconds, tokens in paces[1:] or paces])
    first_s, first_tokens = paces[0]
    return TrainingPace(
        load_s=load_s,
        once_s=max(first_s - first_tokens * token_s.high, 0.0),
        token_s=token_s,
        dev_example_s=dev_s / min(n_dev, _DEV_EXAMPLES) if n_dev else 0.0,
        n_tokens=n_tokens * job.spec.epochs,
        n_dev_examples=n_dev * job.spec.epochs,
        n_layers=n_layers,
        peak_bytes=peak.bytes,
    )


def with_half_of_the_layers(job: TrainingJob, n_layers: int) -> TrainingJob | None:
    """Let LoRA learn in the last half of the layers; None for another method, and where the suite chose the layers."""
    spec = job.spec
    if not isinstance(spec, Lora) or spec.last_layers is not None or n_layers <= 1:
        return None
    return replace(job, spec=spec.model_copy(update={"last_layers": n_layers // 2}))
