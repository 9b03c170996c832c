"""Slices, beyond what the matrix registers: worst slice, intersections, gaps, pooling, and a search for losses.

Taken of every primary contrast between checkpoints, by its metric where that is a mean of scores per example, else by
the suite's first that is; not by a metric that a judge scores. None of it decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlbaseline.judge.contrasts.matrix import sign_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.judge.slices.cuts import find_edges, intersections, single_cuts
from mlbaseline.judge.slices.deltas import deltas, gaps, poolings
from mlbaseline.judge.slices.sample import Sample, sample_of
from mlbaseline.judge.slices.search import halves, search
from mlbaseline.metrics import metric_of
from mlbaseline.records import Estimand, SliceDelta, SliceGap, SlicePooling, SliceReport, SliceSearch, SmallSlice
from mlbaseline.results import LOGLIK, SLICE, ResultTable

DEV, HALF = "dev", "half of test"
INTERSECTIONS = 60
"""Of one contrast, the largest; each more costs the others width."""


def examine(ladder: Ladder, rng: np.random.Generator) -> SliceReport:
    suite = ladder.suite
    at_least, level = suite.matrix.min_slice_examples, suite.matrix.level
    singles: list[SliceDelta] = []
    pairs: list[SliceDelta] = []
    apart: list[SliceGap] = []
    pooled: list[SlicePooling] = []
    searches: list[SliceSearch] = []
    for question in _questions(ladder):
        third = _third(ladder, *question[:2])
        sample = _sample(ladder, question, third)
        if sample is None or len(sample) < at_least:
            continue
        cuts = [cut for cut in single_cuts(sample, find_edges(sample)) if cut.n >= at_least]
        both = intersections(cuts, at_least=at_least, limit=INTERSECTIONS)
        singles += deltas(sample, cuts, question, level=level, rng=rng)
        pairs += deltas(sample, both, question, level=level, rng=rng)
        pooled += poolings(sample, question, level=level)
        apart += gaps(sample, cuts, question, level=level)
        searches.append(_search(ladder, question, third, sample))
    return SliceReport(
        min_examples=at_least,
        level=level,
        small=tuple(_small(ladder, at_least)),
        deltas=tuple(singles),
        intersections=tuple(pairs),
        gaps=tuple(apart),
        searches=tuple(searches),
        poolings=tuple(pooled),
    )


def _questions(ladder: Ladder) -> Iterator[tuple[str, str, str]]:
    """Candidate, baseline and a metric that has scores per example."""
    suite = ladder.suite
    scored = [name for name in suite.metrics if metric_of(name).corpus is None and name not in suite.judged]
    questions: dict[tuple[str, str, str], None] = {}
    for contrast in suite.matrix.primary:
        metric = contrast.metric if contrast.metric in scored else next(iter(scored), None)
        if metric is not None:
            over = [name for name in contrast.over if name in ladder.rungs and contrast.candidate in ladder.rungs]
            questions |= {(contrast.candidate, baseline, metric): None for baseline in over}
    yield from questions


def _search(ladder: Ladder, question: tuple[str, str, str], third: str | None, sample: Sample) -> SliceSearch:
    dev = _sample(ladder, question, third, split=DEV)
    source, (found_on, tested_on) = (HALF, halves(sample)) if dev is None else (DEV, (dev, sample))
    matrix = ladder.suite.matrix
    tried, found = search(
        found_on, tested_on, sign=sign_of(question[2]), at_least=matrix.min_slice_examples, level=matrix.level
    )
    return SliceSearch(*question, source=source, tried=tried, found=found)


def _sample(ladder: Ladder, question: tuple[str, str, str], third: str | None, *, split: str = "test") -> Sample | None:
    candidate, baseline, metric = question

    def table(name: str) -> ResultTable | None:
        return ladder.dev.get(name) if split == DEV else ladder.tables(name, Estimand.CHECKPOINT)[0]

    ours, theirs = table(candidate), table(baseline)
    if ours is None or theirs is None:
        return None
    return sample_of(ours, theirs, None if third is None else table(third), ladder.suite.task.labels, metric)


def _third(ladder: Ladder, candidate: str, baseline: str) -> str | None:
    """Find the first rung that is neither side and gives log-likelihoods, of those answered on dev where any were.

    Not a trivial one: its loss depends on the target alone, and says nothing of how difficult an example is.
    """
    for name in (*ladder.dev, *ladder.rungs):
        if ladder.suite.baselines[name].kind == "trivial":
            continue
        frame = ladder.tables(name, Estimand.CHECKPOINT)[0].frame
        if name not in (candidate, baseline) and any(column.startswith(LOGLIK) for column in map(str, frame)):
            return name
    return None


def _small(ladder: Ladder, at_least: int) -> Iterator[SmallSlice]:
    frame = next(iter(ladder.rungs.values()))[0].table.frame
    for name in ladder.suite.task.slices:
        counts = frame[SLICE + name].value_counts()
        yield from (SmallSlice(name, str(v), int(n)) for v, n in sorted(counts.items()) if n < at_least)
