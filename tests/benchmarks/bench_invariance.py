"""Does an item's result depend on what shares its pass? python -m tests.benchmarks.bench_invariance [--quick]

The packaged model answers the same tweets as three kinds of task, again and again: with other token budgets, in other
company, in another order and by two processes. Counted are the items whose result is not the same bits as the first
time, without and with `evaluation: {invariant: true}`, and beside it what lm-eval's results do when its batch size,
company and order change. The price of the option is a ratio of CPU seconds of the same condition, run one after the
other; the median of the conditions is shown. Exit code 1 if an invariant result is not the same bits.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from time import process_time

import torch

from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.worker_pool import WorkerPool
from mlbaseline.judge.determinism import AnswerDifference, difference_of
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.models.checkpoints.precision import Precision
from mlbaseline.records import Example
from mlbaseline.suite import Evaluation
from tests.benchmarks.bench_scoring import make_harness
from tests.benchmarks.json_results import add_json_option, write_results
from tests.benchmarks.tasks.invariance_tasks import KINDS, Answers, Kind
from tests.benchmarks.tasks.scoring_items import packaged_model, tweets

BUDGET, OTHER_BUDGETS = 512, (128, 2048)
HARNESS_BATCH, OTHER_BATCHES = 8, (1, 32)


@dataclass(frozen=True)
class Condition:
    """What differs from the first time. size: tokens of a batch of ours, rows of one of lm-eval."""

    what: str
    size: int
    examples: Sequence[Example]
    processes: int = 1


@dataclass(frozen=True)
class Row:
    """One condition of one kind in one precision, by us without and with the option, or by lm-eval."""

    precision: str
    kind: str
    what: str
    differences: tuple[AnswerDifference, ...]

    def __str__(self) -> str:
        head = [self.precision, self.kind, self.what, str(self.differences[0].n)]
        return f"| {' | '.join(head + [cell for each in self.differences for cell in cells(each)])} |"


def cells(found: AnswerDifference) -> list[str]:
    """Items of which other bits came out, the largest difference (nats, none between texts), other predictions."""
    nats = "–" if math.isnan(found.largest_nats) else f"{found.largest_nats:.2g}"
    return [f"{found.n - found.n_identical}", nats, f"{found.n_predictions}"]


def conditions(examples: Sequence[Example], size: int, others: Sequence[int], unit: str) -> list[Condition]:
    """The first time, and everything that must not change a result."""
    shuffled = random.Random(5).sample(examples, len(examples))
    return [
        Condition("the first time", size, examples),
        *(Condition(f"{other:,} {unit} instead of {size:,}", other, examples) for other in others),
        Condition("half of the company", size, examples[::2]),
        Condition("another order", size, shuffled),
    ]


def measure_ours(kind: Kind, checkpoint: Checkpoint, examples: Sequence[Example]) -> tuple[list[Row], list[float]]:
    """Return a row for each condition, and the ratios of CPU seconds with the option to those without it."""
    load = partial(load_checkpoint, packaged_model(), precision=checkpoint.precision)
    first, *others = conditions(examples, BUDGET, OTHER_BUDGETS, "tokens in a batch")
    two = replace(first, what="two processes", processes=2)
    expected: dict[bool, Answers] = {}
    rows, ratios = [], []
    for turn, condition in enumerate((first, *others, two)):
        execution = Execution(workers=WorkerPool(2, load, "cpu")) if condition.processes > 1 else LOCAL
        cpu_s, differences = {}, {}
        for invariant in (False, True) if turn % 2 else (True, False):
            evaluation = Evaluation(
                batch_tokens=condition.size, max_length=kind.max_length, latency_sample=0, invariant=invariant
            )
            started = process_time()
            found = kind.ours(checkpoint, condition.examples, evaluation, execution)
            cpu_s[invariant] = process_time() - started
            differences[invariant] = difference_of(expected.setdefault(invariant, found), found)
        if condition.processes == 1:  # the seconds of other processes are not counted
            ratios.append(cpu_s[True] / cpu_s[False])
        if condition is not first:
            both = (differences[False], differences[True])
            rows.append(Row(checkpoint.precision, kind.name, condition.what, both))
    return rows, ratios


def measure_harness(kind: Kind, checkpoint: Checkpoint, examples: Sequence[Example]) -> Iterator[Row]:
    """Yield what lm-eval's results do under the same conditions; it has one process."""
    first, *others = conditions(examples, HARNESS_BATCH, OTHER_BATCHES, "rows in a batch")
    expected = kind.theirs(make_harness(checkpoint, first.size, kind.max_length), first.examples)
    for condition in others:
        found = kind.theirs(make_harness(checkpoint, condition.size, kind.max_length), condition.examples)
        yield Row(checkpoint.precision, kind.name, condition.what, (difference_of(expected, found),))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100, help="of each kind of task")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", choices=("fp32", "bf16"), action="append", help="default: both")
    names = tuple(kind.name for kind in KINDS)
    parser.add_argument("--kind", choices=names, action="append", help="default: all three")
    parser.add_argument("--quick", action="store_true", help="20 items: a look, not a measurement")
    add_json_option(parser)
    options = parser.parse_args()
    n = 20 if options.quick else options.items
    precisions: list[Precision] = options.precision or ["fp32", "bf16"]
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    print(f"{n} items of each kind, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}\n")
    examples = tweets(n).examples
    kinds = [kind for kind in KINDS if kind.name in (options.kind or names)]
    ours, harness, prices = [], [], []
    print("| precision | kind | changed | items | other bits | nats | other predictions | invariant | nats | other |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    checkpoints = [load_checkpoint(packaged_model(), precision=precision, device="cpu") for precision in precisions]
    for checkpoint in checkpoints:
        for kind in kinds:
            rows, ratios = measure_ours(kind, checkpoint, examples)
            ours += rows
            prices.append({"precision": checkpoint.precision, "kind": kind.name, "ratio_cpu": median(ratios)})
            print("\n".join(map(str, rows)), flush=True)
    print("\n| precision | kind | CPU time, invariant to not |\n| --- | --- | ---: |")
    print("\n".join(f"| {p['precision']} | {p['kind']} | {p['ratio_cpu']:.2f}× |" for p in prices), flush=True)
    print("\n| precision | kind | changed for lm-eval | items | other bits | nats | other predictions |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for checkpoint in checkpoints:
        for kind in kinds:
            for row in measure_harness(kind, checkpoint, examples):
                harness.append(row)
                print(row, flush=True)
    results = [{"by": by, **asdict(row)} for by, rows in (("ours", ours), ("lm-eval", harness)) for row in rows]
    write_results(options.json, "invariance", [*results, *prices])
    return 0 if all(row.differences[1].n_identical == row.differences[1].n for row in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
