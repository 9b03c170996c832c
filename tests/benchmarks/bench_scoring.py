"""Choice scoring beside lm-evaluation-harness and vLLM: python -m tests.benchmarks.bench_scoring [--quick]

Same model object, items, precision and threads, in turn in one process, several rounds; then both as a user starts
them, each command a process. vLLM, alone and under lm-eval, scores the same items in turn with ours, in processes of
another environment (`--vllm-python`, by default that of `make test-vllm`) that have scored once before; without one it
is left out, which is said. A ratio divides what the two took in the same round, and the median of the rounds is shown:
by the clock, and in CPU seconds, which a machine that others use too disturbs less (best with --threads 1). Exit code 1
if a target is missed by both; an engine for GPUs sets us no target on a processor.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

from mlbaseline.engine.inference.tokenization import Encoder
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.suite import Evaluation
from tests.benchmarks.json_results import add_json_option, write_results
from tests.benchmarks.sides.process import Side, Spent, in_turn
from tests.benchmarks.sides.scoring_processes import Place, make_place, run_ours, run_theirs, run_theirs_on_vllm
from tests.benchmarks.sides.vllm_environment import add_vllm_option, find_vllm_python
from tests.benchmarks.tasks.scoring_items import MAX_LENGTH, Items, packaged_model, scoring_tasks, tweets

HARNESS_BATCH = 16
"""Rows of a batch that the harness is told to make."""
RATIOS = {
    "tweets": 1.1,
    "sentences_0_shot": 1.6,
    "sentences_5_shot": 8.0,
    "one process": 1.5,
    "several checkpoints": 2.5,
}
"""What is to be reached, by what is compared; nothing beside vLLM."""
VLLM_WAYS = ("vllm", "lm-eval with vllm")


@dataclass(frozen=True)
class Compared:
    """What both took, round by round. tokens: that the two gave the model, padding included; needed: see `needed`."""

    what: str
    ours: list[Spent]
    theirs: list[Spent]
    tokens: tuple[int, int] = (0, 0)
    needed: tuple[int, int] = (0, 0)

    def ratio(self, clock: str) -> float:
        pairs = zip(self.ours, self.theirs, strict=True)
        return median(getattr(theirs, clock) / getattr(ours, clock) for ours, theirs in pairs)

    @property
    def is_met(self) -> bool:
        return max(self.ratio("wall_s"), self.ratio("cpu_s")) >= RATIOS.get(self.what, 0)

    def figures(self) -> dict[str, object]:
        return {
            **asdict(self),
            "ratio_wall": self.ratio("wall_s"),
            "ratio_cpu": self.ratio("cpu_s"),
            "met": self.is_met,
        }

    def row(self) -> str:
        shown = [f"{median(spent.wall_s for spent in side):.1f} s" for side in (self.ours, self.theirs)]
        shown += [f"{self.ratio(clock):.2f}×" for clock in ("wall_s", "cpu_s")]
        tokens = " / ".join(f"{count:,}" for count in (self.needed[0], *self.tokens)) if self.tokens[0] else ""
        target = [f"≥ {RATIOS[self.what]}×", "yes" if self.is_met else "NO"] if self.what in RATIOS else ["", ""]
        cells = [self.what, *shown, *target, tokens]
        return f"| {' | '.join(cells)} |"


@contextmanager
def counting_tokens(model: Any) -> Iterator[list[int]]:
    """Collects the number of tokens, padding included, of every pass through the model."""
    counts: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, inputs, __: counts.append(inputs[0].numel()))
    try:
        yield counts
    finally:
        hook.remove()


def score_ours(checkpoint: Checkpoint, items: Items) -> list[list[float]]:
    evaluation = Evaluation(max_length=MAX_LENGTH, latency_sample=0)
    scorer = ChoiceScorer(checkpoint, items.prompting, items.labels, evaluation)
    answers = {answer.example_id: answer for answer in scorer.answer(items.examples)}
    return [list(answers[example.id].loglik_nats) for example in items.examples]


def score_theirs(harness: Any, items: Items) -> list[list[float]]:
    from lm_eval.api.instance import Instance

    prompts = [items.prompting.prompt(example) for example in items.examples]
    requests = [
        Instance("loglikelihood", {}, (prompt.context, continuation), index)
        for index, prompt in enumerate(prompts)
        for continuation in prompt.continuations
    ]
    nats = iter([value for value, _ in harness.loglikelihood(requests, disable_tqdm=True)])
    return [[next(nats) for _ in prompt.continuations] for prompt in prompts]


def make_harness(checkpoint: Checkpoint, batch: int = HARNESS_BATCH, max_length: int = MAX_LENGTH) -> Any:
    """lm-eval's own model around ours. batch: rows of a batch; max_length: tokens of a row."""
    import logging

    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch, max_length=max_length)


def compare(checkpoint: Checkpoint, harness: Any, items: Items, rounds: int) -> Compared:
    sides: list[Callable[[], list[list[float]]]] = [
        lambda: score_ours(checkpoint, items),
        lambda: score_theirs(harness, items),
    ]
    spent: tuple[list[Spent], list[Spent]] = ([], [])
    found, tokens = [[[0.0]], [[0.0]]], [0, 0]
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            with counting_tokens(checkpoint.model) as counts:
                started = perf_counter(), process_time()
                found[side] = sides[side]()
                spent[side].append(Spent(perf_counter() - started[0], process_time() - started[1]))
            tokens[side] = sum(counts)
    require_same(items.name, checkpoint.precision, *found)
    return Compared(items.name, *spent, (tokens[0], tokens[1]), needed(checkpoint.tokenizer, items))


def compare_with_vllm(checkpoint: Checkpoint, python: str, tasks: Sequence[Items], rounds: int) -> Iterator[Compared]:
    """Ours beside vLLM, alone and under lm-eval, in processes of an interpreter, in turn."""
    words = [checkpoint.precision, str(len(tasks[0].examples))]
    with ExitStack() as stack:
        sides = {way: Side(python, "vllm_scoring", [way, *words], torch.get_num_threads()) for way in VLLM_WAYS}
        for side in sides.values():
            stack.callback(side.close)
        for side in sides.values():
            side.next_round(tasks[0].name)
        for items in tasks:
            yield from compare_sides(checkpoint, sides, items, rounds)


def compare_sides(checkpoint: Checkpoint, sides: Mapping[str, Side], items: Items, rounds: int) -> list[Compared]:
    """Ours, in this process, beside each of `sides`."""
    spent: dict[str, list[Spent]] = {way: [] for way in ("ours", *sides)}
    found: dict[str, list[list[float]]] = {}
    for turn in range(rounds):
        for way in in_turn(list(spent), turn):
            if way in sides:
                done = sides[way].next_round(items.name)
                took, found[way] = done.spent, done.found
            else:
                started = perf_counter(), process_time()
                found[way] = score_ours(checkpoint, items)
                took = Spent(perf_counter() - started[0], process_time() - started[1])
            spent[way].append(took)
    for way in sides:
        require_same(f"{items.name}, {way}", checkpoint.precision, found["ours"], found[way])
    return [Compared(f"{items.name}, {way}", spent["ours"], spent[way]) for way in sides]


def require_same(name: str, precision: str, ours: list[list[float]], theirs: list[list[float]]) -> None:
    """fp32: within 1e-3 nats, and the same choice of 99 % of the items. In bf16, batches of another shape round
    otherwise, by some tenths of a nat: the same choice of 95 %."""
    if precision == "fp32":
        a, b = (torch.tensor([nats for item in side for nats in item], dtype=torch.float64) for side in (ours, theirs))
        # The harness sums in fp32: of a choice at -400 nats, its last digits are worth more than 1e-3.
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-5, msg=f"{name}: the log-likelihoods differ")
    same = sum(mine.index(max(mine)) == other.index(max(other)) for mine, other in zip(ours, theirs, strict=True))
    expected = (0.99 if precision == "fp32" else 0.95) * len(ours)
    assert same >= expected, f"{name}: only {same} of {len(ours)} predictions are the same"


def needed(tokenizer: Any, items: Items) -> tuple[int, int]:
    """Tokens that must be read, each once (the prefix, each context, each choice but its last token), and the places
    whose logits are needed."""
    encoder = Encoder(tokenizer, 1 << 20)
    head = len(encoder.shared_prefix(items.prompting))
    tokens, places = head, 0
    for example in items.examples:
        encoded = encoder.encode(items.prompting.prompt(example))
        longer = sum(len(tail) - 1 for tail in encoded.continuations)
        tokens += len(encoded.contexts[0]) - head + longer
        places += 1 + longer
    return tokens, places


def seconds_of_products(checkpoint: Checkpoint, compared: Compared) -> float:
    """CPU seconds that the multiplications of what is needed take as plain matrix products of the model's own shapes,
    at the same precision and threads; attention and norms are left to the loss."""
    model, (tokens, places) = checkpoint.model, compared.needed
    output = model.get_output_embeddings()
    inner = [m.weight.detach() for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not output]

    def rate(weights: list[torch.Tensor], rows: int) -> float:
        inputs = {w.shape[1]: torch.randn(rows, w.shape[1], dtype=w.dtype, device=w.device) for w in weights}
        started = process_time()
        for weight in weights:
            torch.nn.functional.linear(inputs[weight.shape[1]], weight)
        return (process_time() - started) / rows

    with torch.inference_mode():
        rate(inner, 1024)
        return tokens * rate(inner, 1024) + places * rate([output.weight], 256)


def compare_processes(place: Place, rounds: int, vllm: str | None) -> tuple[list[Compared], Spent]:
    """One checkpoint, several checkpoints (once), and what it takes to the first batch. vllm: interpreter beside it."""
    names = [path.name for path in place.checkpoints]
    run_ours(place, names[:1])  # a first time, so that the second finds what a daily use finds
    ours, theirs, on_vllm, firsts = [], [], [], []
    for _ in range(rounds):
        if vllm is not None:
            on_vllm.append(run_theirs_on_vllm(place, place.checkpoints[0], vllm))
        theirs.append(run_theirs(place, place.checkpoints[0]))
        spent, first = run_ours(place, names[:1])
        ours.append(spent)
        firsts.append(first)
    first = Spent(median(spent.wall_s for spent in firsts), median(spent.cpu_s for spent in firsts))
    one = Compared("one process", ours, theirs)
    each = theirs[-1:] + [run_theirs(place, path) for path in place.checkpoints[1:]]
    several = Compared("several checkpoints", [run_ours(place, names)[0]], [sum(each, Spent(0, 0))])
    beside_vllm = [Compared("one process, lm-eval with vllm", ours, on_vllm)] if on_vllm else []
    return [one, *beside_vllm, several], first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoints", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto", help="fp32, bf16 or auto")
    add_vllm_option(parser)
    parser.add_argument("--quick", action="store_true", help="40 items, two rounds: a look, not a measurement")
    parser.add_argument("--no-processes", action="store_true", help="scoring alone")
    add_json_option(parser)
    options = parser.parse_args()
    n, rounds = (40, 2) if options.quick else (options.items, options.rounds)
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    checkpoint = load_checkpoint(packaged_model(), precision=options.precision)
    harness = make_harness(checkpoint)
    vllm = find_vllm_python(options.vllm_python)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(f"{checkpoint.precision}, {options.threads} threads, {n} items, {rounds} rounds; {load}\n")
    print("| what | mlbaseline | the other | ratio, clock | ratio, CPU | target | met | tokens needed/ours/theirs |")
    print("| --- | ---: | ---: | ---: | ---: | --- | --- | --- |")
    score_ours(checkpoint, tweets(4))
    met, results = [], []
    tasks = scoring_tasks(n, checkpoint.tokenizer)
    for items in tasks:
        compared = compare(checkpoint, harness, items, rounds)
        share = seconds_of_products(checkpoint, compared) / median(spent.cpu_s for spent in compared.ours)
        padding = compared.tokens[0] / compared.needed[0] - 1
        results.append({**compared.figures(), "padding": padding, "share_of_products_rate": share})
        met += [compared.is_met, padding < 0.05, share >= 0.7]
        print(f"{compared.row()} padding {padding:.1%} (< 5 %), {share:.0%} of the products' rate (≥ 70 %)", flush=True)
    if vllm is not None:
        for row in compare_with_vllm(checkpoint, vllm, tasks, rounds):
            results.append(row.figures())
            print(row.row(), flush=True)
    if not options.no_processes:
        with tempfile.TemporaryDirectory() as folder:
            place = make_place(Path(folder), tweets(n), options.checkpoints, HARNESS_BATCH, checkpoint.precision)
            rows, first = compare_processes(place, min(rounds, 2), vllm)
        print("\n".join(row.row() for row in rows))
        results += [
            {**row.figures(), "first_batch_wall_s": first.wall_s, "first_batch_cpu_s": first.cpu_s} for row in rows
        ]
        print(f"\nmlbaseline evaluate to its first batch: {first.wall_s:.1f} s, {first.cpu_s:.1f} CPU s (< 8 s)")
        met += [*(row.is_met for row in rows), min(first.wall_s, first.cpu_s) < 8]
    write_results(options.json, "scoring", results)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
