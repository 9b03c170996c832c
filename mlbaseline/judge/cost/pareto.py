"""The fronts of what is worth its price: quality against money, latency, memory and trainable parameters.

The probability of being on a front is the share of resamples in which no other rung is at least as good in both and
better in one. A resample draws the test's examples (whole clusters), the same for every rung, and so their scores and
what they cost; of the queries that were timed alone the quantile's rank is drawn, the same for all rungs. Seeds stay as
they are: it is the uncertainty of these runs, not of their recipes.

Figures are compared on one hardware profile, that of the first candidate of the matrix. Latency and seconds of another
machine are brought there by the reference workload, where that can be trusted (`judge.cost.machines`), and so is money
where one price stands for both machines; a resample then draws how far that may be off, too. Memory is compared on one
machine only. Money at a price of the other machine's own is what was paid there, and compared as it is.

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

from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.judge.contrasts.matrix import sign_of
from mlbaseline.judge.cost.estimates import answer_usd
from mlbaseline.judge.cost.machines import LATENCY, SECONDS, USD, host_of, not_compared
from mlbaseline.judge.cost.metered import MeteredEvaluation
from mlbaseline.judge.cost.speeds import Speed, is_unbridged, speeds_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics import corpus_statistics, metric_of
from mlbaseline.records import Cost, Front, FrontPoint, Standing
from mlbaseline.results import ResultTable
from mlbaseline.stats import CorpusMetric, bootstrap_distribution

Array = npt.NDArray[np.float64]

AXES = (USD, LATENCY, "peak_memory_bytes", "trainable_params")
_ANYWHERE = (USD, "trainable_params")
"""Axes on which hardware makes no difference, or has its price."""
N_RESAMPLES = 2_000


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
    """quality, usd, latency: rung ─▶ its values (N_RESAMPLES,), where it has them. usd: of answering alone."""

    metric: str
    quality: Mapping[str, Array]
    usd: Mapping[str, Array]
    latency: Mapping[str, Array] = field(default_factory=dict)

    def training_usd(self, name: str, usd: float) -> float:
        """Give the share of a rung's money that no query changes: that of the training."""
        return usd - float(self.usd[name].mean()) if name in self.usd else 0.0

    def cost(self, axis: str, name: str, value: float, factor: Array | float) -> Array:
        """Multiply what takes time of a rung's cost, in each resample. What was measured once is the same in all."""
        if axis == USD and name in self.usd:
            return self.usd[name] * factor + self.training_usd(name, value)
        if axis == LATENCY and name in self.latency:
            return self.latency[name] * factor
        return np.full(N_RESAMPLES, value) * factor

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
            usd = [answer_usd(ladder.suite, MeteredEvaluation.of(evaluation)) for evaluation in rung]
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
    ours = _reference(ladder, standings)
    measured: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name, standing in standings.items():
        # People's time is not free, and nobody measured it.
        value = None if axis == SECONDS and standing.kind == "human" else _known(standing.cost, axis)
        if value is None:
            reasons[name] = "no price" if axis == USD else "not measured"
        elif reason := not_compared(ladder.suite, ours, standing, axis):
            reasons[name] = reason
        elif drawn.metric not in standing.metrics or name not in drawn.quality:
            reasons[name] = f"no {drawn.metric}"
        else:
            measured[name] = value
    speeds = speeds_of(ladder.suite, ours, [standings[name] for name in measured], axis)
    for name in [*measured]:
        if ours is not None and name not in speeds and is_unbridged(ladder.suite, ours, standings[name], axis):
            del measured[name]
            reasons[name] = "other hardware: a rung of this machine has no reference workload beside it"
    points = _judged(standings, drawn, axis, measured, speeds)
    return Front(
        axis=axis,
        metric=drawn.metric,
        hardware="" if ours is None or axis in _ANYWHERE else host_of(ours),
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
    measured: Mapping[str, float],
    speeds: Mapping[str, Speed],
) -> dict[str, FrontPoint]:
    if not measured:
        return {}
    quality = np.array([sign_of(drawn.metric) * standings[name].metrics[drawn.metric].value for name in measured])
    rng = np.random.default_rng(0)  # of its own: a rung that ran elsewhere changes no other draw
    costs, resampled = [], []
    for name, value in measured.items():
        speed = speeds.get(name)
        fixed = drawn.training_usd(name, value) if axis == USD else 0.0
        costs.append(value if speed is None else fixed + (value - fixed) * speed.factor)
        factor: Array | float = 1.0 if speed is None else speed.drawn(N_RESAMPLES, rng)
        resampled.append(drawn.cost(axis, name, value, factor))
    share = pareto_front(np.column_stack([drawn.quality[name] for name in measured]), np.column_stack(resampled))
    on_front = pareto_front(quality, costs)
    found = {}
    for name, x, on, p in zip(measured, costs, on_front, share.mean(axis=0), strict=True):
        point = FrontPoint(name, float(x), bool(on), float(p))
        if (speed := speeds.get(name)) is not None:
            fixed = drawn.training_usd(name, measured[name]) if axis == USD else 0.0
            point = replace(point, bounds=speed.bounds(point.x or 0.0, fixed), normalised=speed.elsewhere)
        found[name] = point
    return found


def _reference(ladder: Ladder, standings: Mapping[str, Standing]) -> Standing | None:
    """Whose hardware the others must share: the first candidate that ran on a known one, else the first such rung."""
    primary = ladder.suite.matrix.primary
    candidates = [standings[contrast.candidate] for contrast in primary if contrast.candidate in standings]
    return next((standing for standing in (*candidates, *standings.values()) if host_of(standing)), None)


def _known(cost: Cost, axis: str) -> float | None:
    value: float | None = getattr(cost, axis)
    return value if value is not None and math.isfinite(value) else None
