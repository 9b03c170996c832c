"""A family of contrasts judged on the joint distribution of its scores: Romano–Wolf, with max-t intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.judge.contrasts.matrix import PlannedContrast, mask_of, signed_margin
from mlbaseline.judge.contrasts.weighting import weights_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import Estimand
from mlbaseline.stats import joint_intervals


@dataclass(frozen=True)
class JointInference:
    """What a row of the comparison takes from its family. low, high: the simultaneous interval."""

    p_adjusted: float
    low: float
    high: float


def judge_jointly(
    ladder: Ladder, rows: Sequence[PlannedContrast], *, rng: np.random.Generator
) -> list[JointInference] | None:
    """Infer all rows jointly, between checkpoints.

    None where some score is missing, the metric has none, or a judge gave them: people's labels decide by another law.
    """
    if any(row.metric in ladder.suite.judged for row in rows):
        return None
    columns = list(dict.fromkeys((name, row.metric) for row in rows for name in (row.candidate, row.baseline)))
    tables = {name: ladder.tables(name, Estimand.CHECKPOINT)[0] for name, _ in columns}
    scores = [tables[name].scores(metric) for name, metric in columns]
    if any(column is None or np.isnan(column).any() for column in scores):
        return None
    questions = list(dict.fromkeys((row.candidate, row.baseline, row.metric) for row in rows))
    contrasts = np.zeros((len(questions), len(columns)))
    for weights, (candidate, baseline, metric) in zip(contrasts, questions, strict=True):
        weights[columns.index((candidate, metric))], weights[columns.index((baseline, metric))] = 1.0, -1.0
    table = tables[rows[0].candidate]
    cuts = {row.cut: mask_of(table, row) for row in rows if row.slice is not None}
    positions = {cut: position for position, cut in enumerate(cuts, start=1)}
    everyone = np.ones(len(table.frame), dtype=bool)
    found = joint_intervals(
        np.column_stack([column for column in scores if column is not None]),
        contrasts,
        slices=np.column_stack(list(cuts.values())) if cuts else None,
        clusters=clusters_of(table, everyone),
        weights=weights_of(ladder.suite.matrix.weights, table, everyone),
        level=ladder.level,
        rng=rng,
    )
    indices = [(positions.get(row.cut, 0), questions.index((row.candidate, row.baseline, row.metric))) for row in rows]
    margins, family = np.zeros(found.estimate.shape), np.zeros(found.estimate.shape, dtype=bool)
    for row, index in zip(rows, indices, strict=True):
        margins[index], family[index] = signed_margin(row), True
    adjusted = np.full(found.estimate.shape, np.nan)
    adjusted[family] = found.adjusted_p_values(margins, family=family)
    return [
        JointInference(
            float(adjusted[index]), float(found.simultaneous_low[index]), float(found.simultaneous_high[index])
        )
        for index in indices
    ]
