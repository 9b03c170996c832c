"""The fronts of what is worth its price: quality against money, latency, memory and trainable parameters.

The probability of being on a front is the share of resamples in which no other rung is at least as good in both and
better in one. A resample draws the test's examples (whole clusters), the same for every rung, and so their scores and
what they cost; of the queries that were timed alone the quantile's rank is drawn, the same for all rungs. Seeds stay as
they are: it is the uncertainty of these runs, not of their recipes.

Latency, memory and seconds are compared among rungs on one hardware profile only, that of the first candidate of the
matrix. Money is compared across profiles: the suite's prices are what normalises it.

Where a reference workload was timed beside every rung that computes, seconds and the money that they cost are compared
at one speed of it (`judge.cost.speeds`), so that a rung does not lose its place to a busy machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from mlbaseline.judge.comparability import same_hardware
from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.judge.contrasts.matrix import sign_of
from mlbaseline.judge.cost.estimates import DEVICE, DEVICE_NAME, Metered, answer_usd
from mlbaseline.judge.cost.speeds import at_speed, speeds_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics import corpus_statistics, metric_of
from mlbaseline.records import UNKNOWN, Cost, Front, FrontPoint, Standing
from mlbaseline.results import ResultTable
from mlbaseline.stats import CorpusMetric, bootstrap_distribution

Array = npt.NDArray[np.float64]

USD, SECONDS, LATENCY = "usd_per_query", "compute_s_per_query", "latency_p95_s"
AXES = (USD, LATENCY, "peak_memory_bytes", "trainable_params")
_ANYWHERE = (USD, "trainable_params")
"""Axes on which hardware makes no difference, or has its price."""
N_RESAMPLES = 2_000
_ELSEWHERE = "other hardware"


def fronts(ladder: Ladder, standings: Mapping[str, Standing], rng: np.random.Generator) -> tuple[Front, ...]:
    """One front for each kind of cost that at least one rung has, by the metric that leads the matrix.

    Where no rung has a price, seconds of computation stand in for money.
    """
    primary = ladder.suite.matrix.primary
    metric = primary[0].metric if primary else ladder.suite.metrics[0]
    priced = any(_known(standing.cost, USD) is not None for standing in standings.values())
    axes = [axis if axis != USD or priced else SECONDS for axis in AXES]
    drawn = _Resamples.of(ladder, metric, rng)
    found = (_front(ladder, standings, drawn, axis) for axis in axes)
    return tuple(front for front in found if any(point.x is not None for point in front.points))


def pareto_front(quality: ArrayLike, cost: ArrayLike) -> npt.NDArray[np.bool_]:
    """Which points no other point beats: none is at least as good in both and better in one.

    quality: more is better. cost: less is better. Each (n,), or (draws, n) for many fronts at once. NaN in either keeps
    a point off the front. Returns booleans of the same shape.
    """
    q, c = np.asarray(quality, dtype=float), np.asarray(cost, dtype=float)
    if q.shape != c.shape or q.ndim not in (1, 2):
        raise ValueError(f"quality and cost must be of one shape (n,) or (draws, n), got {q.shape} and {c.shape}")
    front = ~(np.isnan(q) | np.isnan(c))
    for other in range(q.shape[-1]):
        theirs_q, theirs_c = q[..., other, None], c[..., other, None]
        front &= ~((theirs_q >= q) & (theirs_c <= c) & ((theirs_q > q) | (theirs_c < c)))
    return np.asarray(front)


@dataclass(frozen=True)
class _Resamples:
    """quality, usd, latency: rung ─▶ its values (N_RESAMPLES,), where it has them."""

    metric: str
    quality: Mapping[str, Array]
    usd: Mapping[str, Array]
    latency: Mapping[str, Array] = field(default_factory=dict)

    def at(self, speeds: Mapping[str, float]) -> _Resamples:
        """Multiply the times of each rung."""
        usd, latency = (
            {name: speeds.get(name, 1.0) * drawn for name, drawn in part.items()} for part in (self.usd, self.latency)
        )
        return replace(self, usd=usd, latency=latency)

    @classmethod
    def of(cls, ladder: Ladder, metric: str, rng: np.random.Generator) -> _Resamples:
        """All columns that are averages over examples are resampled together."""
        columns: list[Array] = []
        qualities: dict[str, list[_Quality]] = {}
        money: dict[str, int] = {}
        for name, rung in ladder.rungs.items():
            found = [_statistics(evaluation.table, ladder.suite.task.labels, metric) for evaluation in rung]
            for corpus, statistics in (each for each in found if each is not None and None not in found):
                span = slice(len(columns), len(columns) + statistics.shape[1])
                qualities.setdefault(name, []).append(_Quality(corpus, span))
                columns += [*statistics.T]
            usd = [answer_usd(ladder.suite, Metered.of(evaluation)) for evaluation in rung]
            if all(each is not None and np.isfinite(each).all() for each in usd):
                money[name] = len(columns)
                columns.append(np.mean([each for each in usd if each is not None], axis=0))
        if not columns:
            return cls(metric, {}, {})
        table = next(iter(ladder.rungs.values()))[0].table
        clusters = clusters_of(table, np.ones(len(table.frame), dtype=bool))
        means = bootstrap_distribution(np.column_stack(columns), n_resamples=N_RESAMPLES, clusters=clusters, rng=rng)
        sign = sign_of(metric)
        return cls(
            metric,
            {name: sign * np.mean([one.of(means) for one in each], axis=0) for name, each in qualities.items()},
            {name: means[:, position] for name, position in money.items()},
            _latencies(ladder, rng),
        )


@dataclass(frozen=True)
class _Quality:
    """One seed's metric as a function of means over examples; corpus: None for a mean of per-example scores."""

    corpus: CorpusMetric | None
    span: slice

    def of(self, means: Array) -> Array:
        """(draws,) from the resampled means of all columns (draws, k)."""
        own = means[:, self.span]
        if self.corpus is not None:
            return self.corpus.from_totals(own)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(own[:, 0] / own[:, 1])


def _statistics(table: ResultTable, labels: Sequence[str], metric: str) -> tuple[CorpusMetric | None, Array] | None:
    """Collect the columns (n, s) whose means give the metric; None where the table lacks it."""
    if metric_of(metric).corpus is not None:
        return corpus_statistics(table, labels, metric)
    scores = table.scores(metric)
    if scores is None:
        return None
    known = ~np.isnan(scores)  # where an annotator's agreement was not recorded there is no score
    return None, np.column_stack([np.where(known, scores, 0.0), known.astype(float)])


def _latencies(ladder: Ladder, rng: np.random.Generator) -> dict[str, Array]:
    """Compute the 95th percentile in each resample of the timed queries.

    Of m values, sampled uniformly, the j-th in order lies at a Beta(j, m − j + 1) share of them. The shares are the
    same for rungs that timed as many queries: what takes one model long takes all of them long.
    """
    shares: dict[int, Array] = {}
    found = {}
    for name, rung in ladder.rungs.items():
        seconds = np.stack([evaluation.table.frame["latency_s"].to_numpy(dtype=float) for evaluation in rung])
        timed = seconds[:, ~np.isnan(seconds).any(axis=0)]
        if m := timed.shape[1]:
            j = math.ceil(0.95 * m)
            found[name] = np.quantile(timed, shares.setdefault(m, rng.beta(j, m - j + 1, size=N_RESAMPLES)))
    return found


def _front(ladder: Ladder, standings: Mapping[str, Standing], drawn: _Resamples, axis: str) -> Front:
    ours = None if axis in _ANYWHERE else _reference(ladder, standings)
    x: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, standing in standings.items():
        # People's time is not free, and nobody measured it.
        x[name] = None if axis == SECONDS and standing.kind == "human" else _known(standing.cost, axis)
        if x[name] is None:
            reasons[name] = "no price" if axis == USD else "not measured"
        elif axis not in _ANYWHERE and (ours is None or same_hardware(ours, standing)):
            x[name], reasons[name] = None, _ELSEWHERE if _host(standing) else "unknown hardware"
        elif drawn.metric not in standing.metrics or name not in drawn.quality:
            x[name], reasons[name] = None, f"no {drawn.metric}"
    compared = [name for name in standings if x[name] is not None]
    speeds = speeds_of(standings, compared, axis)
    for name in compared if speeds else ():
        x[name] = at_speed(x[name] or 0.0, drawn.usd.get(name) if axis == USD else None, speeds[name])
    points = _judged(standings, drawn.at(speeds), axis, compared, x)
    return Front(
        axis=axis,
        metric=drawn.metric,
        hardware="" if ours is None else _host(ours),
        n_elsewhere=sum("hardware" in reason for reason in reasons.values()),
        beside=bool(speeds),
        points=tuple(
            points.get(name, FrontPoint(name, None, False, None, reasons.get(name, ""))) for name in standings
        ),
    )


def _judged(
    standings: Mapping[str, Standing],
    drawn: _Resamples,
    axis: str,
    compared: Sequence[str],
    x: Mapping[str, float | None],
) -> dict[str, FrontPoint]:
    if not compared:
        return {}
    values = np.array([float(x[name] or 0.0) for name in compared])
    quality = np.array([sign_of(drawn.metric) * standings[name].metrics[drawn.metric].value for name in compared])
    resampled_x = np.column_stack(
        [_resampled(drawn, axis, name, value) for name, value in zip(compared, values, strict=True)]
    )
    share = pareto_front(np.column_stack([drawn.quality[name] for name in compared]), resampled_x).mean(axis=0)
    on_front = pareto_front(quality, values)
    return {
        name: FrontPoint(name, float(value), bool(on), float(p))
        for name, value, on, p in zip(compared, values, on_front, share, strict=True)
    }


def _resampled(drawn: _Resamples, axis: str, name: str, value: float) -> Array:
    """Give the rung's cost in each resample. What was measured once for the whole run is the same in all."""
    if axis == USD and name in drawn.usd:
        usd = drawn.usd[name]
        return usd + (value - float(usd.mean()))  # the training's share, which no example changes
    if axis == LATENCY and name in drawn.latency:
        return drawn.latency[name]
    return np.full(N_RESAMPLES, value)


def _reference(ladder: Ladder, standings: Mapping[str, Standing]) -> Standing | None:
    """Whose hardware the others must share: the first candidate that ran on a known one, else the first such rung."""
    primary = ladder.suite.matrix.primary
    candidates = [standings[contrast.candidate] for contrast in primary if contrast.candidate in standings]
    return next((standing for standing in (*candidates, *standings.values()) if _host(standing)), None)


def _host(standing: Standing) -> str:
    """Name the processor that a rung computed on; empty where it is not known."""
    facts = standing.measured_on
    return "" if facts.get(DEVICE, UNKNOWN) == UNKNOWN else facts.get(DEVICE_NAME, facts[DEVICE])


def _known(cost: Cost, axis: str) -> float | None:
    value: float | None = getattr(cost, axis)
    return value if value is not None and math.isfinite(value) else None
