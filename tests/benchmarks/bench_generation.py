"""Generated texts by each way that a suite may name: python -m tests.benchmarks.bench_generation [--quick]

Our decoder, transformers' continuous batching and vLLM continue the same tweets greedily: the same weights, precision
and threads, each in a process of its own that has generated once before, in turn, several rounds. A ratio divides our
tokens per second by those of the other in the same round, and the median of the rounds is shown. vLLM may live in
another environment (`--vllm-python`, by default that of `make test-vllm`); without one it is left out, which is said.
Exit code 1 if our decoder is slower than transformers' continuous batching.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median

import torch

from mlbaseline.models.checkpoints.precision import resolve_precision
from tests.benchmarks.json_results import add_json_option, write_results
from tests.benchmarks.sides.generation import Generated, Work
from tests.benchmarks.sides.process import in_turn
from tests.benchmarks.sides.vllm_environment import add_vllm_option, find_vllm_python

OURS = "engine"
AT_LEAST = {"transformers": 1.0}
"""The ratio to be reached, by what is compared; a GPU's engine sets us no target on a processor."""


def run(pythons: dict[str, str], work: Work, rounds: int, threads: int) -> dict[str, list[Generated]]:
    """Let each way generate in turn, in another order each round."""
    found: dict[str, list[Generated]] = {way: [] for way in pythons}
    with ExitStack() as stack:
        sides = {}
        for way, python in pythons.items():
            sides[way] = work.start(way, python, threads)
            stack.callback(sides[way].close)
            sides[way].next_round()
        for turn in range(rounds):
            for way in in_turn(list(sides), turn):
                found[way].append(Generated.read(sides[way].next_round()))
    return found


def figures(found: dict[str, list[Generated]], way: str, precision: str) -> dict[str, object]:
    """What is shown and kept of one way, beside ours."""
    ours, theirs = found[OURS], found[way]
    texts, others = ours[-1].texts, theirs[-1].texts

    def ratio(clock: str) -> float:
        return median(one.tokens_per(clock) / other.tokens_per(clock) for one, other in zip(ours, theirs, strict=True))

    return {
        "way": way,
        "precision": precision,
        "tokens_per_s": median(one.tokens_per("wall_s") for one in theirs),
        "rounds": [asdict(one.spent) for one in theirs],
        "tokens": theirs[-1].tokens,
        "ratio": ratio("wall_s"),
        "ratio_cpu": ratio("cpu_s"),
        "same_texts": sum(texts[key] == others[key] for key in texts),
        "same_in_all_rounds": all(one.texts == theirs[0].texts for one in theirs),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=128)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto", help="fp32, bf16 or auto")
    add_vllm_option(parser)
    parser.add_argument("--quick", action="store_true", help="24 tweets, 24 tokens, two rounds: a look")
    add_json_option(parser)
    options = parser.parse_args()
    n, new_tokens, rounds = (24, 24, 2) if options.quick else (options.items, options.new_tokens, options.rounds)
    precision = resolve_precision(options.precision, "cpu")
    pythons = {OURS: sys.executable, "transformers": sys.executable}
    if vllm := find_vllm_python(options.vllm_python):
        pythons["vllm"] = vllm
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(f"{precision}, {options.threads} threads, {n} tweets, {new_tokens} new tokens, {rounds} rounds; {load}\n")
    found = run(pythons, Work(precision, n, new_tokens), rounds, options.threads)
    results = [figures(found, way, precision) for way in pythons]
    print("| texts by | tokens/s | ratio, clock | ratio, CPU | target | same texts as ours | the same in all rounds |")
    print("| --- | ---: | ---: | ---: | --- | ---: | --- |")
    for row in results:
        target = f"≥ {AT_LEAST[str(row['way'])]}×" if row["way"] in AT_LEAST else ""
        cells = [row["way"], f"{row['tokens_per_s']:,.0f}", f"{row['ratio']:.2f}×", f"{row['ratio_cpu']:.2f}×", target]
        cells += [f"{row['same_texts']} of {n}", "yes" if row["same_in_all_rounds"] else "no"]
        print(f"| {' | '.join(map(str, cells))} |")
    write_results(options.json, "generation", results)
    return 0 if all(float(str(r["ratio"])) >= AT_LEAST.get(str(r["way"]), 0) for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
