"""How far the judge of a metric can be trusted: by people, by the order of answers, by its earlier self."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import krippendorff
import numpy as np
import numpy.typing as npt

from mlbaseline.judge.contrasts.judged import reference_answers
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics.labels import Labels, answers_of, item_of, score_without_judge
from mlbaseline.records import Estimand, JudgeDrift, JudgeReport, JudgingCost, OrderEffect, PeopleAgreement
from mlbaseline.results import CompletedEvaluation
from mlbaseline.suite import JudgedMetric

Array = npt.NDArray[np.float64]
_FEWEST = 3
"""Labelled answers from which an agreement is a number."""


def report_judges(ladder: Ladder) -> tuple[JudgeReport, ...]:
    """Report on the judge of every judged metric.

    Args:
        ladder: The rungs with their tables, figures and labels.
    """
    evaluations = [evaluation for rung in ladder.rungs.values() for evaluation in rung]
    return tuple(
        JudgeReport(
            metric=name,
            judge=_who(metric),
            against=metric.against,
            n=len(evaluations[0].table.frame),
            cost=_cost(name, evaluations),
            people=_agreement(ladder, name),
            order=_order(name, evaluations),
            drift=_drift(name, evaluations),
        )
        for name, metric in ladder.suite.judged.items()
    )


def _who(metric: JudgedMetric) -> str:
    judge = metric.judge
    if judge.endpoint is not None:
        return f"endpoint {judge.endpoint.model or 'without a name'} at {judge.endpoint.address}"
    if judge.scorer is not None:
        return f"scorer {judge.scorer.name} of MLflow"
    return f"function {judge.function}" if judge.function is not None else "recorded scores"


def _figures(name: str, figure: str, evaluations: Sequence[CompletedEvaluation]) -> list[float]:
    values = [evaluation.measured.get(f"judge/{name}/{figure}") for evaluation in evaluations]
    return [value for value in values if value is not None]


def _cost(name: str, evaluations: Sequence[CompletedEvaluation]) -> JudgingCost:
    def total(figure: str) -> float:
        return sum(_figures(name, figure, evaluations))

    return JudgingCost(
        questions=round(total("questions")),
        errors=round(total("errors")),
        tokens_in=round(total("tokens_in")),
        tokens_out=round(total("tokens_out")),
        usd=total("usd") if _figures(name, "usd", evaluations) else None,
        seconds=total("seconds"),
    )


def _order(name: str, evaluations: Sequence[CompletedEvaluation]) -> OrderEffect | None:
    """Means over the rungs that were compared with another one."""
    preferences = _figures(name, "position_bias", evaluations)
    if not preferences:
        return None
    return OrderEffect(float(np.mean(preferences)), float(np.mean(_figures(name, "orders_disagree", evaluations))))


def _drift(name: str, evaluations: Sequence[CompletedEvaluation]) -> JudgeDrift | None:
    """Find the largest drift that an evaluation saw."""
    columns = [_figures(name, f"anchors{end}", evaluations) for end in ("", "_changed", "_shift", "_days")]
    drifts = [JudgeDrift(round(n), round(changed), *rest) for n, changed, *rest in zip(*columns, strict=True)]
    return max(drifts, key=lambda drift: drift.changed, default=None)


def _agreement(ladder: Ladder, name: str) -> PeopleAgreement | None:
    labels = ladder.labels.get(name)
    if labels is None:
        return None
    pairs = list(dict(_labelled_answers(ladder, name, labels)).values())
    judged, said = np.array(pairs, dtype=float).reshape(-1, 2).T
    enough = len(pairs) >= _FEWEST
    return PeopleAgreement(
        drawn=labels.drawn,
        annotators=len({annotator for votes in labels.votes.values() for annotator in votes}),
        answers=len(pairs),
        same=float(np.isclose(judged, said).mean()) if enough else None,
        correlation=_correlation(judged, said) if enough else None,
        alpha=_alpha(np.stack([judged, said])),
        people_alpha=_people_alpha(list(labels.votes.values())),
        bias=float((judged - said).mean()) if enough else None,
        labels_sha256=labels.sha256,
    )


def _labelled_answers(ladder: Ladder, name: str, labels: Labels) -> Iterator[tuple[str, tuple[float, float]]]:
    """Item ─▶ the judge's and the people's score of every answer that somebody had to be asked about."""
    against = reference_answers(ladder, name)
    for rung in ladder.rungs:
        table = ladder.tables(rung, Estimand.CHECKPOINT)[0]
        scores = table.scores(name)
        if scores is None:
            continue
        for (id, answer), judged in zip(answers_of(table).items(), scores.tolist(), strict=True):
            other = None if against is None else against.get(id)
            if answer is None or score_without_judge(answer, other, is_pair=against is not None) is not None:
                continue
            item = item_of(name, id, answer, other)
            said = labels.score(item.id)
            if said is not None:
                yield item.id, (judged, 1.0 - said if item.is_swapped else said)


def _correlation(left: Array, right: Array) -> float | None:
    return None if left.std() == 0.0 or right.std() == 0.0 else float(np.corrcoef(left, right)[0, 1])


def _people_alpha(votes: Sequence[Mapping[str, float]]) -> float | None:
    names = sorted({annotator for each in votes for annotator in each})
    if len(names) < 2:
        return None
    return _alpha(np.array([[each.get(name, np.nan) for each in votes] for name in names]))


def _alpha(scores: Array) -> float | None:
    """Krippendorff's alpha of raters (raters, answers) with scores on an interval scale; None where it has none."""
    paired = scores[:, (~np.isnan(scores)).sum(axis=0) > 1]
    if paired.shape[1] < _FEWEST or len(np.unique(paired[~np.isnan(paired)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=paired, level_of_measurement="interval"))
