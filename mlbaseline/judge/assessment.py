"""All that a comparison step finds, from the completed evaluations of a suite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlbaseline.judge.audit import AuditInput, Champion, Trials
from mlbaseline.judge.contrasts.comparison import TOO_SMALL, compare
from mlbaseline.judge.contrasts.power import MoreExamples, more_examples_to_decide
from mlbaseline.judge.contrasts.preregistered import mark_registered
from mlbaseline.judge.contrasts.published import compare_with_published
from mlbaseline.judge.cost.break_even import break_evens
from mlbaseline.judge.cost.pareto import fronts
from mlbaseline.judge.decision.judgement import judge
from mlbaseline.judge.judge_reports import report_judges
from mlbaseline.judge.ladder import Ladder
from mlbaseline.judge.looks import report_looks
from mlbaseline.judge.simulation import RESAMPLING_SEED
from mlbaseline.judge.slices import examine
from mlbaseline.judge.standing import stand
from mlbaseline.metrics import metric_of
from mlbaseline.records import Assessment, Comparison, PublishedScore, Registration, Role


def assess(
    ladder: Ladder,
    registration: Registration,
    trials: Trials,
    context: Mapping[str, Any],
    *,
    published: Sequence[PublishedScore] = (),
    champion: Champion | None = None,
) -> Assessment:
    """Compare every rung, audit the comparison, and judge the candidates by the suite's rules.

    Args:
        ladder: the rungs with their evaluations.
        registration: when the rules were written down, and how often `test` was looked at.
        trials: which settings of each trained baseline were tried.
        context: what the numbers stand on, for the report.
        published: scores without examples, which have no part in the verdict.
        champion: of the registered model; None where there is none yet.

    Raises:
        SuiteError: a registered contrast cannot be computed (see `compare`).
        IncomparableError: a registered candidate lacks the score of some example.
    """
    suite = ladder.suite
    rng = np.random.default_rng(RESAMPLING_SEED)
    standings = {name: stand(suite, name, rung, rng) for name, rung in ladder.rungs.items()}
    comparisons = mark_registered(suite, registration, compare(ladder, rng))
    in_order = tuple(sorted(published, key=lambda score: list(suite.baselines).index(score.baseline)))

    def more_examples(row: Comparison) -> MoreExamples | None:
        if row.metric in suite.judged:
            return None  # people's labels settle it, not examples
        if row.method == TOO_SMALL:
            # As many more that the slice, at its share of all examples, has enough to be looked at.
            n = len(ladder.tables(row.candidate, row.estimand)[0].frame)
            return MoreExamples(math.ceil(n * (suite.matrix.min_slice_examples / max(row.n, 1) - 1)))
        family = [other for other in comparisons if (other.role, other.estimand) == (row.role, row.estimand)]
        sharing = len(family) if row.role == Role.PRIMARY else len({other.candidate for other in family})
        return more_examples_to_decide(ladder, row, family=sharing)

    subject, looks = AuditInput(ladder, standings, comparisons, registration, trials, champion), report_looks(ladder)
    audited, verdict = judge(subject, more_examples, looks)
    return Assessment(
        suite=suite.name,
        level=suite.matrix.level,
        metrics={name: metric_of(name).higher_is_better for name in suite.metrics},
        standings=tuple(standings.values()),
        comparisons=comparisons,
        mismatches=ladder.warnings,
        verdict=verdict,
        registration=registration,
        audit=audited,
        break_even=break_evens(suite, standings),
        context=context,
        published=in_order,
        unpaired=compare_with_published(ladder, in_order),
        slices=examine(ladder, np.random.default_rng(RESAMPLING_SEED)),
        fronts=fronts(ladder, standings, rng),
        champion_run_id=None if champion is None else champion.evaluation_run_id,
        judges=report_judges(ladder),
        looks=looks,
        weighted=None if suite.matrix.weights is None else str(suite.matrix.weights),
        registers=suite.register_as is not None,
    )
