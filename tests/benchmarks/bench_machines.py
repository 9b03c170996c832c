"""How well does the reference workload foretell a model on another machine? python -m tests.benchmarks.bench_machines

Machines are made of this one: with one or two threads, and with the instructions of older processors, which slows the
matrix product and leaves memory as it is. On each, forward passes of several models are timed with the reference
workload beside them. For each pair of machines and each model, the seconds of the one are brought to the other by the
reference workload, and set beside what was measured there: how far off is it, and is that more than the parts of the
workload disagree by? That is how `judge.cost.machines` chooses what is compared, and how far it may be off.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from tests.benchmarks.json_results import add_json_option, write_results

_OLD = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
MACHINES: dict[str, dict[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "two threads": {"OMP_NUM_THREADS": "2"},
    "one thread, AVX2": {"OMP_NUM_THREADS": "1", **_AVX2},
    "one thread, SSE": {"OMP_NUM_THREADS": "1", **_OLD},
}
"""Machine ─▶ the environment that makes it of this one."""
MODELS = {"256 wide, fp32": (256, 2, "float32"), "768 wide, fp32": (768, 4, "float32")}
"""Model ─▶ width, layers, type of its weights."""
TOKENS = (24, 160)


@dataclass(frozen=True)
class Moved:
    """Seconds of a model on one machine, brought to another.

    Attributes:
        disagreement: The largest ratio of two machines' speeds in a part of the workload over the smallest.
        error: What it came to over what was measured there.
        within: Whether the error is at most the disagreement, either way.
    """

    source: str
    target: str
    model: str
    disagreement: float
    error: float
    within: bool


def time_here(rounds: int) -> dict[str, float]:
    """Time the parts of the workload and all models in turn; the least seconds of each, as on a quiet machine."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from mlbaseline.engine.reference import make_workload

    torch.manual_seed(0)
    models = {}
    for name, (width, layers, kind) in MODELS.items():
        config = LlamaConfig(
            vocab_size=8192,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
        )
        models[name] = LlamaForCausalLM(config).eval().to(getattr(torch, kind))
    prompts = {n: torch.randint(0, 8192, (1, n)) for n in TOKENS}
    workload, seconds = make_workload("cpu"), dict[str, list[float]]()
    with torch.inference_mode():
        for number in range(rounds + 2):
            for (name, model), (n, prompt) in itertools.product(models.items(), prompts.items()):
                timing = workload.time()
                started = perf_counter()
                model(prompt, logits_to_keep=1)
                taken = perf_counter() - started
                if number >= 2:  # the first rounds are slower
                    seconds.setdefault(f"{name}, {n} tokens", []).append(taken)
                    for part in ("matmul_s", "copy_s", "pass_s", "total_s"):
                        seconds.setdefault(part, []).append(getattr(timing, part))
    return {name: min(each) for name, each in seconds.items()}


def moved(timed: Mapping[str, Mapping[str, float]]) -> list[Moved]:
    """Bring each model from each machine to each other."""
    found = []
    for source, target in itertools.permutations(timed, 2):
        ours, theirs = timed[target], timed[source]
        ratios = [ours[part] / theirs[part] for part in ("matmul_s", "copy_s", "pass_s")]
        disagreement = max(ratios) / min(ratios)
        for name in (name for name in ours if "tokens" in name):
            error = ours["total_s"] / theirs["total_s"] / (ours[name] / theirs[name])
            within = max(error, 1.0 / error) <= disagreement
            found.append(Moved(source, target, name, disagreement, error, within))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--here", action="store_true", help="time this machine as it is and print JSON")
    add_json_option(parser)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(time_here(arguments.rounds)))
        return 0
    command = [sys.executable, "-m", "tests.benchmarks.bench_machines", "--here", "--rounds", str(arguments.rounds)]
    timed = {
        name: json.loads(subprocess.run(command, env={**os.environ, **env}, check=True, stdout=subprocess.PIPE).stdout)
        for name, env in MACHINES.items()
    }
    print("| machine | matrix product, ms | copy, ms | pass, ms |\n| --- | ---: | ---: | ---: |")
    for name, each in timed.items():
        print(f"| {name} | " + " | ".join(f"{1e3 * each[p]:.2f}" for p in ("matmul_s", "copy_s", "pass_s")) + " |")
    found = moved(timed)
    print("| from | to | parts disagree by | brought over measured, all models | within that |")
    print("| --- | --- | ---: | ---: | ---: |")
    for (source, target), group in itertools.groupby(found, key=lambda one: (one.source, one.target)):
        each = list(group)
        errors = sorted(one.error for one in each)
        inside = sum(one.within for one in each)
        print(
            f"| {source} | {target} | {each[0].disagreement:.2f} | {errors[0]:.2f} to {errors[-1]:.2f} | "
            f"{inside} of {len(each)} |"
        )
    write_results(arguments.json, "machines", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
