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
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch

from mlbaseline.models.checkpoint import resolve_precision
from tests.benchmarks.generation_side import Round, Side, Work
from tests.benchmarks.json_results import ROOT, add_json_option, write_results

OURS = "engine"
AT_LEAST = {"transformers": 1.0}
"""The ratio to be reached, by what is compared; a GPU's engine sets us no target on a processor."""


def vllm_python() -> str | None:
    """The interpreter of an environment with vLLM: this one, or that of `make test-vllm`."""
    if find_spec("vllm") is not None:
        return sys.executable
    python = ROOT / os.environ.get("VLLM_VENV", ".venv-vllm") / "bin" / "python"
    return str(python) if python.exists() else None


def run(pythons: dict[str, str], work: dict[str, Work], rounds: int) -> dict[str, list[Round]]:
    """Let each way generate in turn, in another order each round."""
    found: dict[str, list[Round]] = {way: [] for way in pythons}
    with ExitStack() as stack:
        sides = {}
        for way, python in pythons.items():
            sides[way] = Side(python, work[way])
            stack.callback(sides[way].close)
        ways = list(sides)
        for turn in range(rounds):
            for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                found[way].append(sides[way].next_round())
    return found


def figures(found: dict[str, list[Round]], way: str, precision: str) -> dict[str, object]:
    """What is shown and kept of one way, beside ours."""
    ours, theirs = found[OURS], found[way]
    ratio = median(mine.tokens_per_s / other.tokens_per_s for mine, other in zip(ours, theirs, strict=True))
    texts, others = ours[-1].texts, theirs[-1].texts
    return {
        "way": way,
        "precision": precision,
        "tokens_per_s": median(one.tokens_per_s for one in theirs),
        "rounds_wall_s": [one.wall_s for one in theirs],
        "tokens": theirs[-1].tokens,
        "ratio": ratio,
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
    parser.add_argument("--vllm-python", type=Path, help="interpreter of an environment with vLLM and mlbaseline")
    parser.add_argument("--quick", action="store_true", help="24 tweets, 24 tokens, two rounds: a look")
    add_json_option(parser)
    options = parser.parse_args()
    n, new_tokens, rounds = (24, 24, 2) if options.quick else (options.items, options.new_tokens, options.rounds)
    precision = resolve_precision(options.precision, "cpu")
    pythons = {OURS: sys.executable, "transformers": sys.executable}
    if vllm := str(options.vllm_python) if options.vllm_python else vllm_python():
        pythons["vllm"] = vllm
    else:
        print("vLLM is left out: it is not installed here, and there is no environment of `make test-vllm`\n")
    work = {way: Work(precision, options.threads, n, new_tokens, way) for way in pythons}
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(f"{precision}, {options.threads} threads, {n} tweets, {new_tokens} new tokens, {rounds} rounds; {load}\n")
    found = run(pythons, work, rounds)
    results = [figures(found, way, precision) for way in pythons]
    print("| texts by | tokens/s | ours is faster by | target | same texts as ours | the same in all rounds |")
    print("| --- | ---: | ---: | --- | ---: | --- |")
    for row in results:
        target = f"≥ {AT_LEAST[str(row['way'])]}×" if row["way"] in AT_LEAST else ""
        cells = [row["way"], f"{row['tokens_per_s']:,.0f}", f"{row['ratio']:.2f}×", target]
        cells += [f"{row['same_texts']} of {n}", "yes" if row["same_in_all_rounds"] else "no"]
        print(f"| {' | '.join(map(str, cells))} |")
    write_results(options.json, "generation", results)
    return 0 if all(float(str(r["ratio"])) >= AT_LEAST.get(str(r["way"]), 0) for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
