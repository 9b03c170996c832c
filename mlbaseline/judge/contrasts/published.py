"""Candidates beside published scores: compared without pairs, and without a say in the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics import corpus_statistics, metric_of
from mlbaseline.records import Estimand, PublishedScore, UnpairedContrast
from mlbaseline.results import ResultTable
from mlbaseline.stats import compare_published, pseudo_values
from mlbaseline.suite import Pretrained, Suite

Array = npt.NDArray[np.float64]


def compare_with_published(ladder: Ladder, published: Sequence[PublishedScore]) -> tuple[UnpairedContrast, ...]:
    """Compare every candidate, by its checkpoint, with every published score whose metric it carries."""
    contrasts = (*ladder.suite.matrix.primary, *ladder.suite.matrix.guardrails)
    candidates = dict.fromkeys(c.candidate for c in contrasts if c.candidate in ladder.rungs)
    return tuple(row for name in candidates for score in published for row in _compare(ladder, name, score))


def _compare(ladder: Ladder, candidate: str, score: PublishedScore) -> Iterator[UnpairedContrast]:
    (table,) = ladder.tables(candidate, Estimand.CHECKPOINT)
    units = _units(table, ladder.suite.task.labels, score.metric)
    if units is None:
        return
    values, clusters = units
    found = compare_published(
        values,
        score.value,
        n=bounding_n(score) if score.standard_error is None else None,
        standard_error=score.standard_error,
        clusters=clusters,
        level=ladder.suite.matrix.level,
    )
    yield UnpairedContrast(
        candidate=candidate,
        published=score.baseline,
        metric=score.metric,
        n=len(table.frame),
        candidate_mean=float(values.mean()),
        value=score.value,
        delta=found.delta,
        low=found.low,
        high=found.high,
        level=found.level,
        p_value=found.p_value,
        reason=found.reason,
        protocol_gaps=tuple(_gaps(_protocol(ladder.suite, candidate), score)),
    )


def bounding_n(score: PublishedScore) -> int | None:
    """Give the number of examples where it bounds the error of a published score.

    Args:
        score: The published score.

    Returns:
        Its n where the metric is a mean of scores within [0, 1]; None for other metrics, or a value outside of it.
    """
    return score.n if metric_of(score.metric).is_mean_within_0_1 and 0.0 <= score.value <= 1.0 else None


def _protocol(suite: Suite, candidate: str) -> dict[str, str]:
    """How this suite measures a candidate."""
    spec = suite.baselines[candidate]
    shots = spec.shots.k if isinstance(spec, Pretrained) and spec.shots else 0
    return {"prompt": suite.task.prompt, "shots": str(shots), "split": "test"}


def _gaps(ours: Mapping[str, str], score: PublishedScore) -> Iterator[str]:
    for name, here in ours.items():
        there = score.measured_by.get(name)
        if there is None:
            yield f"{name} there is not known"
        elif there.strip() != here.strip():
            yield f"{name} {there!r} there, {here!r} here"


def _units(
    table: ResultTable, labels: Sequence[str], metric: str
) -> tuple[Array, npt.NDArray[np.object_] | None] | None:
    """Values whose mean is the metric, with their clusters; None where the table lacks it."""
    everything = np.ones(len(table.frame), dtype=bool)
    if metric_of(metric).corpus is None:
        scores = table.scores(metric)
        if scores is None or (scored := ~np.isnan(scores)).sum() < 2:
            return None
        return scores[scored], clusters_of(table, scored)
    found = corpus_statistics(table, labels, metric)
    if found is None:
        return None
    corpus, statistics = found
    return pseudo_values(statistics, corpus, clusters=clusters_of(table, everything)), None
