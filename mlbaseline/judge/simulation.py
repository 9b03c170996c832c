"""The verdict alone, without what an assessment describes beside it: quick enough for many simulated tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlbaseline.judge.audit import AuditInput, Champion, Trials
from mlbaseline.judge.contrasts.comparison import compare_deciding
from mlbaseline.judge.contrasts.preregistered import mark_registered
from mlbaseline.judge.decision.judgement import judge
from mlbaseline.judge.ladder import Ladder
from mlbaseline.judge.looks import report_looks
from mlbaseline.judge.standing import stand
from mlbaseline.records import Comparison, Registration, Verdict

RESAMPLING_SEED = 20_260_101
"""The comparison of the same tables gives the same numbers every time."""


def resampling_rng() -> np.random.Generator:
    """Make the source of resamples of a comparison."""
    return np.random.default_rng(RESAMPLING_SEED)


def deciding_verdict(
    ladder: Ladder,
    registration: Registration,
    trials: Trials,
    *,
    champion: Champion | None = None,
    explored: Sequence[Comparison] = (),
) -> Verdict:
    """Take the verdict that `assessment.assess` would take, by the same functions.

    Args:
        ladder: The rungs with their evaluations.
        registration: When the rules were written down.
        trials: Which settings of each trained baseline were tried.
        champion: Of the registered model.
        explored: Rows that decide nothing, for the audit.

    Returns:
        The verdict; how many more examples would settle it is left out.
    """
    suite, rng = ladder.suite, resampling_rng()
    standings = {name: stand(suite, name, rung, rng) for name, rung in ladder.rungs.items()}
    rows = (*mark_registered(suite, registration, compare_deciding(ladder, rng)), *explored)
    subject = AuditInput(ladder, standings, rows, registration, trials, champion)
    _, verdict = judge(subject, lambda _: None, report_looks(ladder))
    return verdict
