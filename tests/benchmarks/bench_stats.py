"""What the statistics cost, beside scipy.stats.bootstrap and sacreBLEU: python -m tests.benchmarks.bench_stats

Every ratio divides times measured in this process on this machine. Where scipy would take hours, a few of its calls are
timed and multiplied by the number of calls needed; the table says so. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from mlbaseline.stats.bootstrap import bootstrap_distribution
from mlbaseline.stats.corpus.comparison import compare_corpus
from mlbaseline.stats.corpus.text import bleu
from mlbaseline.stats.simultaneous.joint import joint_intervals
from tests.benchmarks.json_results import add_json_option, write_results

N_RESAMPLES = 10_000


@dataclass(frozen=True)
class Row:
    what: str
    ours_s: float
    theirs_s: float | None
    target: str
    met: bool
    note: str = ""


def seconds(call: Callable[[], Any], repeats: int = 3) -> float:
    """Best of a few, after one unmeasured call for the small ones."""
    if repeats > 1:
        call()
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return float(best)


def scipy_percentile_s(columns: tuple[np.ndarray, ...], statistic: Callable[..., Any], batch: int) -> float:
    start = time.perf_counter()
    stats.bootstrap(
        columns,
        statistic,
        n_resamples=N_RESAMPLES,
        method="percentile",
        paired=len(columns) > 1,
        vectorized=True,
        batch=batch,
        rng=np.random.default_rng(0),
    )
    return time.perf_counter() - start


def binary_pair(rng: np.random.Generator) -> Row:
    n = 100_000
    first, second = (rng.random(n) < 0.72).astype(float), (rng.random(n) < 0.70).astype(float)

    def ours() -> np.ndarray:
        difference = (first - second)[:, None]
        return np.quantile(bootstrap_distribution(difference, n_resamples=N_RESAMPLES, rng=rng), [0.025, 0.975])

    theirs = scipy_percentile_s((first, second), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), batch=100)
    mine = seconds(ours)
    return Row("0/1 pair, n = 1e5, percentile interval", mine, theirs, "≥ 1,000×", theirs / mine >= 1_000)


def columns_and_slices(rng: np.random.Generator) -> list[Row]:
    n, k, n_slices = 10_000, 50, 20
    scores = rng.normal(size=(n, 1)) + rng.normal(size=(n, k + 1))
    contrasts = np.hstack([-np.ones((k, 1)), np.eye(k)])
    slices = rng.random((n, n_slices)) < 0.3

    def one_scipy_call(rows: np.ndarray) -> float:
        return scipy_percentile_s((rows,), lambda a, axis: a.mean(axis=axis), batch=1_000)

    difference = scores[:, 1] - scores[:, 0]
    whole, part = one_scipy_call(difference), one_scipy_call(difference[slices[:, 0]])
    theirs = k * (whole + n_slices * part)
    note = f"scipy: {whole:.2f} s for all rows and {part:.2f} s for one slice, times {k} and {k * n_slices:,}"
    rows = []
    for method in ("auto", "bootstrap"):

        def ours(method: str = method) -> object:
            return joint_intervals(scores, contrasts, slices=slices, method=method, rng=rng)  # type: ignore[arg-type]

        mine = seconds(ours, repeats=2 if method == "auto" else 1)
        what = f"50 columns × (all + 20 slices), n = 1e4, joint_intervals({method})"
        target = "≥ 200×" if method == "auto" else ""
        rows.append(Row(what, mine, theirs, target, not target or theirs / mine >= 200, note))
    return rows


def large_table(rng: np.random.Generator, n: int = 1_000_000) -> Row:
    n_models, n_metrics, n_slices = 20, 5, 50
    scores = np.empty((n, n_models * n_metrics))
    for j in range(scores.shape[1]):
        draw = rng.random(n)
        scores[:, j] = draw < 0.7 if j < 2 * n_models else draw
    contrasts = np.zeros((n_metrics * (n_models - 1), scores.shape[1]))
    for row in range(len(contrasts)):
        metric, model = divmod(row, n_models - 1)
        contrasts[row, metric * n_models] = -1.0
        contrasts[row, metric * n_models + model + 1] = 1.0
    slices = rng.random((n, n_slices)) < 0.2
    taken = seconds(lambda: joint_intervals(scores, contrasts, slices=slices, rng=rng).adjusted_p_values(), repeats=1)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    what = f"20 models × 5 metrics × 50 slices, n = {n:,}, simultaneous intervals and step-down p"
    return Row(
        what, taken, None, "< 15 s, < 4 GB", taken < 15 and peak_gb < 4, f"peak {peak_gb:.1f} GB, input included"
    )


def linear_cost(rng: np.random.Generator) -> Row:
    """Slope of log time on log n, for one shape of table from 10⁵ to 10⁶ rows."""
    sizes = (100_000, 200_000, 400_000, 1_000_000)
    contrasts = np.hstack([-np.ones((19, 1)), np.eye(19)])
    times = []
    for n in sizes:
        scores, slices = rng.random((n, 20)), rng.random((n, 20)) < 0.2
        times.append(seconds(lambda s=scores, m=slices: joint_intervals(s, contrasts, slices=m, rng=rng), repeats=2))
    slope = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    note = ", ".join(f"{t:.2f} s at {n:,}" for n, t in zip(sizes, times, strict=True))
    return Row(
        "time ~ n^slope, 19 contrasts × 20 slices",
        times[-1],
        None,
        "slope ≤ 1",
        slope <= 1.0,
        f"slope {slope:.2f}: {note}",
    )


def bleu_pair(rng: np.random.Generator) -> list[Row]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    n = 10_000
    words = np.array([f"w{i}" for i in range(500)])
    text = words[rng.integers(0, 500, size=(n, 20))]

    def garbled(share: float) -> list[str]:
        noisy = np.where(rng.random(text.shape) < share, words[rng.integers(0, 500, size=text.shape)], text)
        return [" ".join(row) for row in noisy]

    references, first, second = [" ".join(row) for row in text], garbled(0.3), garbled(0.31)
    metric = bleu()
    start = time.perf_counter()
    statistics = [metric.statistics(system, [references]) for system in (first, second)]
    extraction = time.perf_counter() - start
    start = time.perf_counter()
    PairedTest([("a", first), ("b", second)], {"BLEU": BLEU()}, [references], "bs", n_samples=1_000)()
    total = time.perf_counter() - start
    theirs = total - extraction

    def ours(n_resamples: int) -> float:
        return seconds(lambda: compare_corpus(*statistics, metric, n_resamples=n_resamples, rng=rng), repeats=2)

    short, long = ours(1_000), ours(10_000)
    resampling = f"both without the {extraction:.2f} s that reading the texts takes"
    tenfold = "ten times sacreBLEU's 1,000 resamples, as 10,000 would hold 4 GB there"
    return [
        Row("BLEU pair, n = 1e4, 1,000 resamples", short, theirs, "≥ 5×", theirs / short >= 5, resampling),
        Row("BLEU pair, n = 1e4, 10,000 resamples", long, 10 * theirs, "≥ 5×", 10 * theirs / long >= 5, tenfold),
        Row("BLEU pair, 1,000 resamples, texts read", extraction + short, total, "", True, "reading dominates"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_option(parser)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = [binary_pair(rng), *columns_and_slices(rng), *bleu_pair(rng), linear_cost(rng), large_table(rng)]
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(f"numpy {np.__version__}; {N_RESAMPLES:,} resamples unless a row says otherwise; {load}\n")
    print("| what | mlbaseline | other | ratio | target | met | note |\n| --- | ---: | ---: | ---: | --- | --- | --- |")
    for row in rows:
        other = "" if row.theirs_s is None else f"{row.theirs_s:,.2f} s"
        ratio = "" if row.theirs_s is None else f"{row.theirs_s / row.ours_s:,.0f}×"
        cells = (row.what, f"{row.ours_s:.4g} s", other, ratio, row.target, "yes" if row.met else "NO", row.note)
        print("| " + " | ".join(cells) + " |")
    write_results(options.json, "stats", rows)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
