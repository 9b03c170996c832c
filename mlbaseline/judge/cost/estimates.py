"""What a rung costs: money and time per query with their intervals, by the suite's present prices.

What an answer costs is what its source says (`cost_usd`), else its tokens at the price of the baseline's tokens, else
its seconds at the price of the hardware they were spent on. The training's share is added as it is.

What the intervals cover: the mean of money varies with the examples and, where a rung has several seeds, with their
runs, crossed as for any score. Seconds are shares of the time of whole batches, so that a batch is one measurement
(`stats.batched_mean`); tables of before the column `batch` count each row as one. A machine that was slow throughout
one single run slows all batches together, and no interval in seconds can show that: beside the answers a reference
workload is timed, and figures in units of it are what runs are compared by. Quantiles of latency are of queries timed
one at a time; a query that was timed in several runs is one observation, as are those of a cluster. Their limits are
order statistics, and absent where the queries are too few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.judge.cost.metered import MeteredEvaluation, batched, timings
from mlbaseline.judge.cost.relative import reference_of, reference_speeds, relative_figures
from mlbaseline.records import Bounds, Cost
from mlbaseline.results import FIRST_TOKEN
from mlbaseline.stats import estimate_mean
from mlbaseline.suite import Suite

Array = npt.NDArray[np.float64]

SOURCE, TOKENS, HARDWARE = "source", "tokens", "hardware"
_QUANTILES = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "latency_p99_s": 0.99}
_UNTRAINED = ("trivial", "pretrained")


def cost_of(suite: Suite, metered: Sequence[MeteredEvaluation]) -> Cost:
    """Estimate the cost of a rung from its evaluations, one per seed."""
    trained_s = [run.train_s for run in metered]
    train_usd = [_train_usd(suite, run) for run in metered]
    mean, bounds = _query_usd(suite, metered, train_usd)
    timed = timings(metered)
    quantiles = timed.quantiles(_QUANTILES, suite.matrix.level)
    bounds |= {name: Bounds(found.low, found.high) for name, found in quantiles.items()}
    latency = {name: quantiles[name].value if name in quantiles else None for name in _QUANTILES}
    memory = combined((run.peak_memory_bytes for run in metered), max)
    params = combined((_trainable(run) for run in metered), max)
    return Cost(
        train_s=combined(trained_s, mean_of),
        train_usd=combined(train_usd, mean_of),
        compute_s_per_query=float(np.mean([run.table.frame["compute_s"].mean() for run in metered])),
        usd_per_query=mean,
        peak_memory_bytes=None if memory is None else int(memory),
        bounds=bounds,
        priced_by=None if mean is None else _priced_by(suite, metered[0]),
        n_timed=timed.n_queries,
        trainable_params=None if params is None else int(params),
        first_token_p50_s=_first_token_p50_s(metered),
        reference_s=reference_of(metered),
        relative=relative_figures(metered, suite.matrix.level),
        reference_speeds=reference_speeds(metered),
        **latency,
    )


def answer_usd(suite: Suite, run: MeteredEvaluation) -> Array | None:
    """Price each answer (n,), training left out. NaN: the source left it out; None: there is no price for it."""
    frame, by = run.table.frame, _priced_by(suite, run)
    if by == SOURCE:
        return np.asarray(frame["cost_usd"], dtype=float)
    if by == TOKENS:
        price = suite.cost.usd_per_million_tokens[run.table.baseline]
        read, written = (frame[name].to_numpy(dtype=float) for name in ("tokens_in", "tokens_out"))
        usd = (read * price.input + written * price.output) / 1e6
        # An answer without a token was not counted. An error may truly have cost none.
        return np.where((read + written == 0) & frame["error"].isna().to_numpy(), np.nan, usd)
    hourly = run.hourly_price(suite)
    return None if hourly is None else frame["compute_s"].to_numpy(dtype=float) / 3600 * hourly


def _first_token_p50_s(metered: Sequence[MeteredEvaluation]) -> float | None:
    frames = [run.table.frame for run in metered if FIRST_TOKEN in run.table.frame]
    waits = [frame[FIRST_TOKEN].dropna().to_numpy(dtype=float) for frame in frames]
    return float(np.median(np.concatenate(waits))) if any(map(len, waits)) else None


def _priced_by(suite: Suite, run: MeteredEvaluation) -> str:
    if "cost_usd" in run.table.frame:
        return SOURCE
    return TOKENS if run.table.baseline in suite.cost.usd_per_million_tokens else HARDWARE


def _query_usd(
    suite: Suite, metered: Sequence[MeteredEvaluation], train_usd: Sequence[float | None]
) -> tuple[float | None, dict[str, Bounds]]:
    """Average over seeds and examples, with the training's share, and give the interval."""
    each, by = [answer_usd(suite, run) for run in metered], _priced_by(suite, metered[0])
    known = [usd for usd in each if usd is not None]
    shares = [
        usd / suite.cost.queries if usd is not None else None if run.train_s is not None else 0.0
        for run, usd in zip(metered, train_usd, strict=True)
    ]
    share = combined(shares, mean_of)
    if len(known) < len(each) or share is None or len({len(usd) for usd in known}) > 1:
        return None, {}
    usd = np.stack(known)
    del each, known  # of millions of examples, each copy counts
    mean = float(usd.mean()) + share
    if not math.isfinite(mean) or usd.shape[1] < 2:
        return mean, {}
    largest = float(usd.max())
    if largest == 0:
        return mean, {"usd_per_query": Bounds(share, share)}
    by_batch = batched([run.table for run in metered], usd, suite.matrix.level) if by == HARDWARE else None
    if by_batch is not None:
        limits = (by_batch.low, by_batch.high)
        return mean, {"usd_per_query": Bounds(*(None if limit is None else limit + share for limit in limits))}
    clusters = clusters_of(metered[0].table, np.ones(usd.shape[1], dtype=bool))
    if clusters is not None and len(set(clusters)) < 2:
        return mean, {}
    # On a scale from 0 to 1: what is smoothed for want of variation is then a share of the largest cost, not a dollar.
    usd /= largest
    found = estimate_mean(usd, clusters=clusters, level=suite.matrix.level)
    low, high = max(found.low, 0.0) * largest + share, found.high * largest + share
    return mean, {"usd_per_query": Bounds(low, high)}


def _train_usd(suite: Suite, run: MeteredEvaluation) -> float | None:
    hourly = run.hourly_price(suite)
    return None if hourly is None or run.train_s is None else run.train_s / 3600 * hourly * run.devices_in_training


def _trainable(run: MeteredEvaluation) -> float | None:
    """0 for what nobody trained here; unknown for what was trained elsewhere."""
    if run.trainable_params is not None:
        return run.trainable_params
    return 0 if run.table.kind in _UNTRAINED and run.is_ours else None


def combined(values: Iterable[float | None], how: Callable[[list[float]], float]) -> float | None:
    """None where one of them is missing: a rung is not described by a part of its seeds."""
    each = list(values)
    known = [value for value in each if value is not None and not math.isnan(value)]
    return how(known) if len(known) == len(each) else None


def mean_of(values: list[float]) -> float:
    return float(np.mean(values))
