"""Memory and time of what is computed from a large result table: metrics, slices, costs, and the Parquet file.

    python -m tests.benchmarks.bench_result_table [--rows 1000000] [--json FOLDER]

Runs on Linux. Ten million rows take two minutes, as neither a data file is read nor a model asked: the table is drawn,
and lies in files as that of an evaluation does. "Held" is the most memory that a stage holds beyond what there was
before the first one, pages of files apart, as in `bench_memory`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlbaseline.format_versions import RESULT_TABLE
from mlbaseline.judge.cost.estimates import cost_of
from mlbaseline.judge.cost.metered import MeteredEvaluation
from mlbaseline.judge.standing import measure_overall, measure_slices
from mlbaseline.metrics import add_scores
from mlbaseline.records import Signature, TableWriter, map_array, release_unused_memory
from mlbaseline.results import ResultTable
from mlbaseline.results.parquet import write_parquet
from mlbaseline.suite import Suite
from mlbaseline.tasks import open_suite
from tests.benchmarks.bench_memory import SUITE, HeldMemory
from tests.benchmarks.json_results import add_json_option, write_results

_BLOCK_ROWS = 1 << 16
_TEXTS = ["id", "slice", "target", "prediction", "none"]
_MACHINE = {"hardware.device": "cpu", "hardware.device_name": "any"}


def draw_table(n: int) -> ResultTable:
    """Draw the answers of a rung to n examples of two choices, each of which was timed alone."""
    rng, text = np.random.default_rng(0), pa.large_string()
    texts = TableWriter(pa.schema([(name, text) for name in _TEXTS]))
    lengths, labels = pa.array(["q1", "q2", "q3"], text), pa.array(["bad", "good"], text)
    for start in range(0, n, _BLOCK_ROWS):
        rows = range(start, min(start + _BLOCK_ROWS, n))
        ids = pa.array([f"{row:016x}" for row in rows], text)
        drawn = [of.take(pa.array(rng.integers(0, len(of), len(rows)))) for of in (lengths, labels, labels)]
        texts.add(pa.record_batch([ids, *drawn, pa.nulls(len(rows), text)], names=_TEXTS))
    columns = {
        name: pd.arrays.ArrowStringArray(column) for name, column in zip(_TEXTS, texts.table().columns, strict=True)
    }
    frame = {
        "example_id": columns["id"],
        "cluster": columns["none"],
        "slice.length": columns["slice"],
        "target": columns["target"],
        "prediction": columns["prediction"],
        "loglik_nats.bad": map_array(np.log(rng.random(n))),
        "loglik_nats.good": map_array(np.log(rng.random(n))),
        "tokens_in": map_array(np.zeros(n, dtype=np.int64)),
        "tokens_out": map_array(np.zeros(n, dtype=np.int64)),
        "latency_s": map_array(rng.random(n) * 1e-6),
        "compute_s": map_array(rng.random(n) * 1e-6),
        "truncated": map_array(np.zeros(n, dtype=bool)),
        "error": columns["none"],
    }
    return ResultTable("majority", "trivial", None, Signature({}), pd.DataFrame(frame, copy=False))


def stages(suite: Suite, table: ResultTable, folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is computed from a table with scores, by name."""
    return {
        "overall": lambda: measure_overall(table, suite),
        "slices": lambda: measure_slices(table, suite),
        "costs": lambda: cost_of(suite, [MeteredEvaluation(table, _MACHINE)]),
        "Parquet": lambda: write_parquet(table.frame, folder / "examples.parquet", RESULT_TABLE),
    }


def main() -> None:
    """Measure stage by stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    add_json_option(parser)
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder, n = Path(temporary), arguments.rows
        content = SUITE.format(rows=n, test=n, data="reviews.parquet", model="model")
        (folder / "suite.yaml").write_text(content, encoding="utf-8")
        suite = open_suite(folder / "suite.yaml")
        table = draw_table(n)
        release_unused_memory()
        memory = HeldMemory()
        before = memory.take()

        def run(name: str, compute: Callable[[], Any]) -> Any:
            started_s = time.process_time()
            found = compute()
            results.append(
                {"what": name, "held_bytes": memory.take() - before, "cpu_s": time.process_time() - started_s}
            )
            print(f"{name:<10}{results[-1]['held_bytes'] / 1e6:8,.0f} MB{results[-1]['cpu_s']:8.1f} s", flush=True)
            return found

        scored = run("scores", lambda: add_scores(table, suite.task.labels, suite.metrics))
        for name, compute in stages(suite, scored, folder).items():
            run(name, compute)
    write_results(arguments.json, "result_table", results)


if __name__ == "__main__":
    main()
