"""Simulated tests: the rows of existing runs drawn anew, at a stated true difference, through the real judge.

A simulated test of n examples draws rows (whole clusters) with replacement, the same for every rung, so that slices,
seeds, costs and all correlations stay as they are. Where a true difference δ is stated, rows are not drawn evenly but
by exponential tilting: the weights exp(λ·d) on the rows' differences d that are closest to even ones (in relative
entropy) among those under which the expected difference of the contrast is exactly δ. So the null hypothesis and every
alternative between the smallest and the largest difference are true of real rows, and no score is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from mlbaseline.errors import DataError
from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.judge.contrasts.matrix import sign_of
from mlbaseline.judge.contrasts.weighting import weights_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics import corpus_statistics, metric_of
from mlbaseline.records import Decision, Estimand, Outcome, Verdict
from mlbaseline.results import CompletedEvaluation, ResultTable
from mlbaseline.stats import ExampleWeights, MeanEstimate, estimate_mean

Array = npt.NDArray[np.float64]
_WIDEST = 200.0
"""Largest tilt, in units of one over the largest difference; beyond it all weight lies on the extreme rows."""
_NEGLIGIBLE = 1e-9
"""Part of an improvement that is rounding."""


@dataclass(frozen=True)
class TrueDifference:
    """What is taken for true: the improvement (more is better) of a candidate over a baseline by a metric.

    improvement: None for the observed one.
    """

    candidate: str
    baseline: str
    metric: str
    improvement: float | None = None


@dataclass(frozen=True)
class SimulatedVerdict:
    """What the verdict would be with n examples.

    Attributes:
        n: Examples of the whole test.
        decisions: Each decision ─▶ how often it was taken, with its Monte Carlo interval.
        asked: What was asked of the candidates (contrast, or gate) ─▶ outcome ─▶ its share.
    """

    n: int
    decisions: Mapping[Decision, MeanEstimate]
    asked: Mapping[str, Mapping[Outcome, float]]


class SimulatedTests:
    """Tests that could have been drawn in place of the one that was."""

    def __init__(self, ladder: Ladder, truth: TrueDifference) -> None:
        """Find the weights of the rows.

        Args:
            ladder: The rungs with their evaluations.
            truth: The difference that is to be true.

        Raises:
            DataError: No weights make it true: it lies beyond what single rows show, or a side lacks the metric.
        """
        self._ladder = ladder
        tables = [ladder.tables(name, Estimand.CHECKPOINT)[0] for name in (truth.candidate, truth.baseline)]
        labels = clusters_of(tables[0], np.ones(len(tables[0].frame), dtype=bool))
        n = len(tables[0].frame)
        codes = np.arange(n) if labels is None else pd.factorize(labels)[0]
        order = np.argsort(codes, kind="stable")
        self._clustered = labels is not None
        self._rows = np.split(order, np.cumsum(np.bincount(codes))[:-1])
        self.weights, self.improvement = self._tilted(tables, truth)

    def draw(self, factor: float, rng: np.random.Generator) -> Ladder:
        """One test with ``factor`` times as many examples (clusters)."""
        units = rng.choice(len(self._rows), size=max(2, round(factor * len(self._rows))), p=self.weights)
        rows = np.concatenate([self._rows[unit] for unit in units])
        sizes = [len(self._rows[unit]) for unit in units]
        clusters = np.repeat(np.arange(len(units)), sizes) if self._clustered else None
        ids = [f"{position:09d}" for position in range(len(rows))]

        def drawn(evaluation: CompletedEvaluation) -> CompletedEvaluation:
            frame = evaluation.table.frame.iloc[rows].reset_index(drop=True).assign(example_id=ids)
            if clusters is not None:
                frame["cluster"] = pd.array([f"{cluster:09d}" for cluster in clusters], dtype="string")
            return replace(evaluation, table=replace(evaluation.table, frame=frame))

        rungs = {name: tuple(map(drawn, rung)) for name, rung in self._ladder.rungs.items()}
        by_run = {evaluation.run_id: evaluation for rung in rungs.values() for evaluation in rung}
        checkpoints = {
            name: replace(checkpoint, evaluation=by_run[checkpoint.evaluation.run_id])
            for name, checkpoint in self._ladder.checkpoints.items()
        }
        return replace(self._ladder, rungs=rungs, checkpoints=checkpoints, dev={})

    def _tilted(self, tables: Sequence[ResultTable], truth: TrueDifference) -> tuple[Array, float]:
        """Weights (units,) and the improvement that is true under them."""
        known = weights_of(self._ladder.suite.matrix.weights, tables[0], np.ones(len(tables[0].frame), dtype=bool))
        statistics, difference = _difference(tables, self._ladder.suite.task.labels, truth, known)
        sums = np.stack([statistics[rows].sum(axis=0) for rows in self._rows])
        even = np.full(len(sums), 1.0 / len(sums))
        if truth.improvement is None:
            return even, difference(even @ sums)
        direction = _influence(difference, even @ sums, sums)
        scale = float(np.abs(direction).max())
        if scale == 0.0:
            raise DataError(f"{truth.candidate} and {truth.baseline} answer alike: no rows show another difference")

        def weights(tilt: float) -> Array:
            logs = tilt * direction / scale
            raised = np.exp(logs - logs.max())
            return np.asarray(raised / raised.sum())

        def missing(tilt: float) -> float:
            return difference(weights(tilt) @ sums) - (truth.improvement or 0.0)

        least, most = missing(-_WIDEST), missing(_WIDEST)
        at_end = next((end for end, left in ((-_WIDEST, least), (_WIDEST, most)) if abs(left) < _NEGLIGIBLE), None)
        if at_end is not None:  # where no row shows a loss, an improvement of 0 is the least there can be
            return weights(at_end), difference(weights(at_end) @ sums)
        if not least <= 0.0 <= most:
            low, high = (end + truth.improvement for end in (least, most))
            raise DataError(
                f"--delta {truth.improvement:+g}: rows of these runs show an improvement by {truth.metric} between "
                f"{low:+.3f} and {high:+.3f}; choose one between"
            )
        found = weights(float(scipy.optimize.brentq(missing, -_WIDEST, _WIDEST, xtol=1e-10)))
        return found, difference(found @ sums)


def simulate(
    tests: SimulatedTests,
    judge: Callable[[Ladder], Verdict],
    factors: Sequence[float],
    *,
    n_test: int,
    n_simulations: int,
    seed: int,
    advance: Callable[[], object],
) -> Iterator[SimulatedVerdict]:
    """Judge simulated tests of several sizes.

    Args:
        tests: Where they come from.
        judge: Takes the verdict on one.
        factors: Sizes, as multiples of the present one.
        n_test: The present number of examples.
        n_simulations: Tests of each size.
        seed: Of the draws; each test has a stream of its own.
        advance: Called after each test.

    Yields:
        What was decided at each size.
    """
    for position, factor in enumerate(factors):
        verdicts = []
        for number in range(n_simulations):
            verdicts.append(judge(tests.draw(factor, np.random.default_rng([seed, position, number]))))
            advance()
        shares = {d: estimate_mean([float(v.decision == d) for v in verdicts]) for d in Decision}
        yield SimulatedVerdict(round(n_test * factor), shares, _asked(verdicts))


def _asked(verdicts: Sequence[Verdict]) -> dict[str, dict[Outcome, float]]:
    counts: dict[str, dict[Outcome, float]] = {}
    for verdict in verdicts:
        for finding in verdict.findings:
            where = finding.evidence
            name = finding.code
            if "baseline" in where and "candidate" in where:
                cut = "" if where.get("slice") is None else f" on {where['slice']} = {where.get('slice_value')}"
                name = f"{finding.code}: {where['candidate']} over {where['baseline']}{cut}"
            elif "candidate" in where:
                name = f"{finding.code}: {where['candidate']}"
            of = counts.setdefault(name, {})
            of[finding.outcome] = of.get(finding.outcome, 0.0) + 1.0 / len(verdicts)
    return counts


def _difference(
    tables: Sequence[ResultTable], labels: Sequence[str], truth: TrueDifference, weights: ExampleWeights | None
) -> tuple[Array, Callable[[Array], float]]:
    """Statistics (n, s) of both sides, and the improvement as a function of their weighted sums."""
    sign = sign_of(truth.metric)
    if metric_of(truth.metric).corpus is None:
        columns = [table.scores(truth.metric) for table in tables]
        if any(column is None or np.isnan(column).any() for column in columns):
            raise DataError(
                f"{truth.candidate} over {truth.baseline}: one of them lacks {truth.metric} of some example"
            )
        differences = np.asarray(columns[0], dtype=float) - np.asarray(columns[1], dtype=float)
        return _mean_difference(differences, sign, weights)
    found = [corpus_statistics(table, labels, truth.metric) for table in tables]
    known = [side for side in found if side is not None]
    if len(known) < len(found):
        raise DataError(f"{truth.candidate} over {truth.baseline}: one of them lacks {truth.metric}")
    (metric, ours), (_, theirs) = known
    width = ours.shape[1]

    def improvement(sums: Array) -> float:
        return sign * float(metric.from_totals(sums[:width]) - metric.from_totals(sums[width:]))

    return np.hstack([ours, theirs]), improvement


def _mean_difference(
    differences: Array, sign: int, weights: ExampleWeights | None
) -> tuple[Array, Callable[[Array], float]]:
    """`_difference` of a mean of scores; strata keep their shares however rows are drawn."""
    n = len(differences)
    values = np.ones(n) if weights is None else weights.values
    strata = np.zeros(n, dtype=np.intp) if weights is None or weights.strata is None else weights.strata
    shares = np.bincount(strata, weights=values) / values.sum()
    members = (strata[:, None] == np.arange(len(shares))) * values[:, None]
    statistics = np.hstack([members * differences[:, None], members])

    def improvement(sums: Array) -> float:
        return sign * float(shares @ (sums[: len(shares)] / sums[len(shares) :]))

    return statistics, improvement


def _influence(difference: Callable[[Array], float], mean: Array, sums: Array) -> Array:
    """(units,) how far more weight on a unit moves the improvement, to first order."""
    steps = 1e-5 * np.maximum(np.abs(mean), 1e-3 * np.abs(mean).max())
    gradient = np.array(
        [
            (difference(mean + step * unit) - difference(mean - step * unit)) / (2.0 * step)
            for step, unit in zip(steps, np.eye(len(mean)), strict=True)
        ]
    )
    moved: Array = (sums - mean) @ gradient
    return moved
