"""Plan a suite: what can its design detect, and how many examples does a difference take?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from mlbaseline import store
from mlbaseline.errors import DataError, TrackingError
from mlbaseline.judge.contrasts.comparison import TOO_SMALL, compare
from mlbaseline.judge.contrasts.power import examples_for
from mlbaseline.judge.ladder import Ladder
from mlbaseline.judge.simulation import RESAMPLING_SEED
from mlbaseline.records import Comparison, Estimand, Role
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.derivation import load_ladder


@dataclass(frozen=True)
class ContrastPower:
    """What one registered contrast can show. mde: smallest difference found with 80 % power at the present n.

    needed: examples that show `delta` with 80 % power, None where the seeds vary too much for any number of examples.
    """

    candidate: str
    baseline: str
    metric: str
    estimand: Estimand
    n: int
    mde: float
    delta: float
    needed: int | None


def power(
    suite: SuiteReference,
    *,
    candidate: str | None = None,
    baseline: str | None = None,
    delta: float | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Plan from the variances that the completed runs show. delta: true difference, default the one observed.

    Raises:
        DataError: No primary contrast has two evaluated rungs and could be decided by more examples.
        TrackingError: No rung of the suite has a completed run.
    """
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    try:
        ladder = load_ladder(loaded, tracker)
    except (DataError, TrackingError) as error:
        raise type(error)(f"{error}\n`--discordance SHARE` plans without any run.") from error
    plans = [
        _plan(ladder, row, row.delta if delta is None else delta)
        for row in compare(ladder, np.random.default_rng(RESAMPLING_SEED))
        if row.role == Role.PRIMARY
        and row.method != TOO_SMALL
        and row.metric not in loaded.judged  # planned in labels of people, not in examples
        and candidate in (None, row.candidate)
        and baseline in (None, row.baseline)
    ]
    if not plans:
        raise DataError(
            f"{loaded.name}: no primary contrast of {candidate or 'any candidate'} over {baseline or 'any'} that more "
            "examples would decide"
        )
    return power_result(loaded, plans)


def power_result(suite: Suite, plans: list[ContrastPower], *, note: str = "", **assumed: float) -> CommandResult:
    """Make the result of the command.

    Args:
        suite: That is planned.
        plans: One for each contrast.
        note: Sentence below the table.
        assumed: What was assumed, for the document.
    """
    document = {"power": 0.8, "level": suite.matrix.level, **assumed, "plans": [asdict(plan) for plan in plans]}
    return CommandResult(document, lambda *_: "\n".join([_text(plans), *([note] if note else [])]))


def _plan(ladder: Ladder, row: Comparison, delta: float) -> ContrastPower:
    needed = None if delta == row.margin else examples_for(ladder, row, delta)
    return ContrastPower(row.candidate, row.baseline, row.metric, row.estimand, row.n, row.mde, delta, needed)


def _text(plans: list[ContrastPower]) -> str:
    layout = "{:<34} {:<11} {:<10} {:>7} {:>9} {:>8} {:>11}"
    rows = [
        layout.format(
            f"{plan.candidate} over {plan.baseline}",
            plan.estimand,
            plan.metric,
            f"{plan.n:,}",
            f"{plan.mde:.4f}",
            f"{plan.delta:+.4f}",
            "more seeds" if plan.needed is None else f"{plan.needed:,}",
        )
        for plan in plans
    ]
    return "\n".join([layout.format("contrast", "estimand", "metric", "n", "detects", "delta", "needs n"), *rows])
