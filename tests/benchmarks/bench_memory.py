"""Memory and speed of one evaluation, stage by stage: `evaluate` on a large table, a tiny model and a local store.

    python -m tests.benchmarks.bench_memory [--rows 1000000] [--format parquet] [--processes 2] [--ray]

Runs on Linux. Prints the most memory that the process held in each stage. Pages of files are counted apart from it: the
system takes them back when it needs memory. "On top" is what a process does not hold that has done the same with a few
rows: imports and model, which no number of rows changes. Of several processes, it is the one with the command. Rows a
second are of the stage by itself; what it passes on to an inner stage is left out.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbaseline.engine import hardware
from tests.benchmarks.json_results import add_json_option, write_results
from tests.support.processes.ray_clusters import small_cluster

FEW_ROWS = 200
LOOK_EVERY_S = 0.01
BASELINES = ("majority", "zero_shot")
SUITE = """
name: memory-{rows}
task:
  kind: choice
  data: {{source: {data}}}
  columns: {{text: review, target: label}}
  prompt: "Review: {{text}}\\nLabel:"
  choices: [bad, good]
  split: {{train: 50, test: {test}, seed: 1}}
  slices:
    length: {{column: review, quantiles: 3}}
metrics: [accuracy, macro_f1, nll_nats, ece]
seeds: [0]
evaluation: {{max_length: 128, latency_sample: 16, batch_tokens: 16384}}
cost: {{usd_per_hour: {{cpu: 0.10}}}}
baselines:
  majority: {{kind: trivial, strategy: majority}}
  zero_shot: {{kind: pretrained, model: {{source: {model}}}}}
"""
_WORDS = (
    "the",
    "a",
    "soup",
    "bread",
    "chair",
    "lamp",
    "train",
    "hotel",
    "today",
    "again",
    "very",
    "late",
    "good",
    "bad",
)


class HeldMemory:
    """The most memory (bytes) without pages of files since the last look; a thread looks all the time."""

    def __init__(self) -> None:
        self._most, self._lock = 0, threading.Lock()
        threading.Thread(target=self._look_on, daemon=True).start()

    def _look_on(self) -> None:
        while True:
            self.look()
            time.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        now = next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))
        with self._lock:
            self._most = max(self._most, now)

    def take(self) -> int:
        """Return the most of it, and begin anew."""
        self.look()
        with self._lock:
            most, self._most = self._most, 0
        return most


@dataclass
class Stages:
    """Peak memory (bytes) and time (s) by stage; what happens in an inner stage counts for that one alone.

    peaks: with pages of files. held: without them.
    """

    memory: HeldMemory
    peaks: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _open: list[str] = field(default_factory=lambda: ["other"])
    _since: float = field(default_factory=time.process_time)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.close()
        self._open.append(name)
        try:
            yield
        finally:
            self.close()
            self._open.pop()

    def close(self) -> None:
        """Book what was spent since the last change to the stage that is open."""
        name, now = self._open[-1], time.process_time()
        self.peaks[name] = max(self.peaks.get(name, 0), hardware._high_water_mark())
        self.held[name] = max(self.held.get(name, 0), self.memory.take())
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now
        hardware._reset_high_water_mark()

    def watch(self, module: Any, name: str, stage: str | None = None) -> None:
        """Count calls of a function by the name under which `module` knows it."""
        function: Callable[..., Any] = getattr(module, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            with self.stage(stage or name):
                return function(*arguments, **options)

        setattr(module, name, watched)


def watch_all(stages: Stages) -> None:
    from mlbaseline import store
    from mlbaseline.engine.scoring import choices as scoring
    from mlbaseline.engine.scoring.log_likelihood_scorer import LogLikelihoodScorer
    from mlbaseline.workflows.evaluations import ladder_run, rung_evaluation

    stages.watch(ladder_run, "load_task")
    for name in ("tabulate_answers", "add_scores", "measure_overall", "measure_slices", "cost_of"):
        stages.watch(rung_evaluation, name)
    stages.watch(store, "log_evaluation")
    stages.watch(scoring, "encode_examples")
    stages.watch(scoring, "plan_batches")
    stages.watch(LogLikelihoodScorer, "__call__", "computed by the model")


def write_table(path: Path, rows: int) -> None:
    """Short reviews, all different."""
    draw = random.Random(3)

    def row(number: int) -> tuple[str, str]:
        return draw.choice(("bad", "good")), " ".join([*draw.choices(_WORDS, k=draw.randint(3, 12)), str(number)])

    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("label", "review"))
            writer.writerows(map(row, range(rows)))
        return
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("label", pa.string()), ("review", pa.string())])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 100_000):
            chunk = list(map(row, range(start, min(start + 100_000, rows))))
            writer.write_table(pa.table(list(map(list, zip(*chunk, strict=True))), schema=schema))


def write_model(folder: Path) -> None:
    """A random Llama of one layer with a tokenizer of letters and the words in use."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [" ".join(("Review: Label:", *_WORDS))] * 3,
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads: dict[str, Any] = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 256}
    vocabulary: dict[str, Any] = {"vocab_size": tokenizer.get_vocab_size(), "bos_token_id": 0, "eos_token_id": 1}
    LlamaForCausalLM(LlamaConfig(**sizes, **heads, **vocabulary)).save_pretrained(folder)


def evaluate(folder: Path, rows: int, suffix: str, baseline: str, **where: Any) -> dict[str, Any]:
    from mlbaseline import workflows

    suite = folder / f"suite-{rows}.yaml"
    if not suite.is_file():
        write_table(folder / f"reviews-{rows}{suffix}", rows)
        content = SUITE.format(rows=rows, test=rows - 50, data=f"reviews-{rows}{suffix}", model=folder / "model")
        suite.write_text(content, encoding="utf-8")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    evaluated = workflows.evaluate(suite, baselines=[baseline], tracking_uri=uri, **where)
    document: dict[str, Any] = dict(evaluated.document)
    return document


def show(title: str, stages: Stages, rows: int, floor: int) -> None:
    print(f"\n{title}\n{'stage':<20}{'held MB':>9}{'on top MB':>11}{'with files':>12}{'CPU s':>9}{'rows/s':>10}")
    lines = [(name, held, stages.peaks[name], stages.seconds[name]) for name, held in stages.held.items()]
    lines += [("all", *(max(each.values()) for each in (stages.held, stages.peaks)), sum(stages.seconds.values()))]
    for name, held, with_files, seconds in lines:
        memory = f"{held / 1e6:9,.0f}{(held - floor) / 1e6:11,.0f}{with_files / 1e6:12,.0f}"
        print(f"{name:<20}{memory}{seconds:9.1f}" + (f"{rows / seconds:10,.0f}" if seconds > 0.01 else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    add_json_option(parser)
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--baseline", choices=BASELINES, action="append", help="only this one; repeatable")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--ray", action="store_true", help="on a cluster of two nodes, which is started here")
    arguments = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["OMP_NUM_THREADS"] = "1"  # a tiny model's threads would wait for each other longer than they compute
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        where: dict[str, Any] = {"processes": arguments.processes}
        if arguments.ray:
            cluster = stack.enter_context(small_cluster(Path(temporary, "ray")))
            cluster.add_node("other")  # one node alone gets no help
            where["ray"] = cluster.address
        folder, suffix = Path(temporary), f".{arguments.format}"
        os.environ["MLBASELINE_CACHE"] = str(folder / "cache")
        write_model(folder / "model")
        memory = HeldMemory()
        for baseline in BASELINES:  # imports everything, and creates the tracking database
            evaluate(folder, FEW_ROWS, suffix, baseline, **where)
        floor = memory.take()
        stages = Stages(memory)
        results = []
        watch_all(stages)
        for baseline in arguments.baseline or BASELINES:
            stages.peaks, stages.held, stages.seconds = {}, {}, {}
            stages.close()
            evaluate(folder, arguments.rows, suffix, baseline, **where)
            stages.close()
            for name, peak in stages.peaks.items():
                stage = {"what": f"{baseline}: {name}", "peak_bytes": peak, "held_bytes": stages.held[name]}
                results.append({**stage, "cpu_s": stages.seconds[name], "rows": arguments.rows})
            show(f"{baseline}, {arguments.rows:,} rows of {arguments.format}", stages, arguments.rows, floor)
    write_results(arguments.json, "memory", results)


if __name__ == "__main__":
    main()
