"""What a node of a cluster is asked to do: names and digests go there, and what became of the rung comes back.

The node opens the suite and the data by itself, reads models by content, and writes to the tracking server.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbaseline import store
from mlbaseline.engine import hardware
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import MlbaselineError, TrackingError
from mlbaseline.suite import (
    External,
    Human,
    Pretrained,
    Production,
    ReadyAdapter,
    ReadyModel,
    Recorded,
    Split,
    Suite,
    TrainedSpec,
    Trivial,
)
from mlbaseline.tasks import open_suite
from mlbaseline.version import __version__
from mlbaseline.workflows.evaluations.earlier_answers import find_whole
from mlbaseline.workflows.evaluations.executors.executor import LocalExecutor, SplitEvaluation
from mlbaseline.workflows.evaluations.ladder_run import Evaluated, LadderRun
from mlbaseline.workflows.evaluations.opening import open_context
from mlbaseline.workflows.judging import open_judging

if TYPE_CHECKING:
    from mlbaseline.engine.inference.requests import RequestResult

log = logging.getLogger("mlbaseline")


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


BlockResults = Sequence[Mapping[str, "RequestResult"]]
"""Results of each batch of a block, by their cache keys."""
_BLOCKS_PER_SLOT, _BLOCK_EXAMPLES = 2, 50
"""A block is what a lost node costs; to open the model for it must cost less."""


@dataclass(frozen=True)
class RungOutcome:
    """What became of a task.

    Attributes:
        evaluated: One for each seed; none where an optional baseline does not exist yet.
        warnings: What was warned of meanwhile.
        node: Where it was evaluated.
    """

    evaluated: tuple[Evaluated, ...]
    warnings: tuple[str, ...]
    node: str


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


def count_blocks(suite: Suite, name: str, n_examples: int, slots: int) -> int:
    """Return into how many blocks the answers of a rung are split; 0 where one node gives all of them.

    Weights that are trained lie on one node, and vLLM forms its batches itself.

    Args:
        suite: The suite.
        name: Of the baseline.
        n_examples: Number of examples that it answers.
        slots: How many models the cluster has room for at a time.
    """
    if slots < 2 or suite.evaluation.generate_with == "vllm":
        return 0
    is_there = isinstance(suite.baselines[name], Pretrained | ReadyModel | ReadyAdapter)
    blocks = min(_BLOCKS_PER_SLOT * slots, n_examples // _BLOCK_EXAMPLES) if is_there else 0
    return blocks if blocks > 1 else 0


def compute_block(task: RungTask, index: int, n: int, node: str) -> BlockResults:
    """Compute one block of the answers of a rung, unless there is a completed run that it would only repeat.

    Args:
        task: What is evaluated.
        index: Of the block.
        n: Number of blocks.
        node: Name of this node, for messages.

    Returns:
        The results of each batch of the block.

    Raises:
        MlbaselineError: The message names the node.
    """
    from mlbaseline.engine.inference.execution import Block

    results: list[Mapping[str, RequestResult]] = []
    with _naming(task, node), TemporaryDirectory() as folder:
        hardware.set_threads(task.threads)
        ladder, opened = _open(task.ladder)
        context = replace(
            opened,
            block=Block(index, n, results.append),
            results_folder=Path(folder) if task.fresh else None,
        ).evaluated_with(latency_sample=0)
        for rung in build_rungs(context, task.baseline, task.seeds):
            if rung.open is not None and (task.fresh or not find_whole(ladder, rung)):
                for _ in rung.open().model.answer(context.data.examples):
                    pass
    return results


def evaluate_task(task: RungTask, blocks: Sequence[BlockResults], node: str) -> RungOutcome:
    """Evaluate the rungs of a task on this node.

    Args:
        task: What is evaluated.
        blocks: The results of its blocks, where it has any.
        node: Name of this node, for messages.

    Raises:
        MlbaselineError: The message names the node.
    """
    with _naming(task, node), _recorded_warnings() as warnings:
        hardware.set_threads(task.threads)
        ladder, opened = _open(task.ladder)
        context = replace(opened, fresh=task.fresh, computed=[batch for block in blocks for batch in block])
        split = SplitEvaluation(ladder, context, open_judging(context, ladder.tracker, fresh=task.fresh))
        evaluated = tuple(LocalExecutor().evaluate(split, {task.baseline: task.seeds}))
    return RungOutcome(evaluated, tuple(warnings), node)


_opened: dict[LadderAddress, tuple[LadderRun, RungContext]] = {}
"""Kept by the process for the next task of the same ladder: reading the data can take longer than a small task."""


def _open(address: LadderAddress) -> tuple[LadderRun, RungContext]:
    if address not in _opened:
        _opened.clear()
        _opened[address] = _open_anew(address)
    return _opened[address]


def _open_anew(address: LadderAddress) -> tuple[LadderRun, RungContext]:
    if address.version != __version__:
        raise MlbaselineError(f"expected mlbaseline {address.version}, as on the driver; there is {__version__}")
    suite = open_suite(address.suite)
    _check_same("suite", address.suite_digest, suite.digest)
    tracker = store.connect(address.tracking_uri, suite.name)
    try:
        ladder = LadderRun(suite, store.find_run(tracker, address.run_id))
    except TrackingError as error:
        raise TrackingError(
            f"{error}\nAll nodes and the driver need the same tracking server: a file of SQLite only does where all of "
            "them see it under the same path, else start `mlflow server` and choose it with --tracking-uri."
        ) from error
    context = replace(open_context(ladder), split=address.split)
    _check_same(f"split {address.split}", address.data_digest, context.data.digest)
    return ladder, context


def _check_same(what: str, expected: str, got: str) -> None:
    if expected != got:
        raise MlbaselineError(
            f"the {what} is another one than on the driver: expected digest {expected[:12]}…, got {got[:12]}…. Put the "
            "same files on every node, or on a file system that all of them share."
        )


@contextmanager
def _naming(task: RungTask, node: str) -> Iterator[None]:
    try:
        yield
    except MlbaselineError as error:
        # A plain one: an exception with arguments of its own cannot be pickled.
        raise MlbaselineError(f"{task.name}, on {node}: {error}") from None


@contextmanager
def _recorded_warnings() -> Iterator[list[str]]:
    warnings: list[str] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    recorder = Recorder(logging.WARNING)
    log.addHandler(recorder)
    try:
        yield warnings
    finally:
        log.removeHandler(recorder)
