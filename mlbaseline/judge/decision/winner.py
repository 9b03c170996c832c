"""Which of several candidates that pass everything wins: the best on `dev` by one metric, the same for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mlbaseline.judge.contrasts.chosen_checkpoint import NLL, ChosenCheckpoint, on_dev
from mlbaseline.metrics import metric_of
from mlbaseline.suite import Suite


def choose_winner(suite: Suite, passed: Sequence[str], checkpoints: Mapping[str, ChosenCheckpoint]) -> str | None:
    """Choose among candidates that passed.

    Args:
        suite: Its `matrix.winner_by` names the metric, else its first primary contrast does.
        passed: At least one candidate.
        checkpoints: Candidate ─▶ the checkpoint that stands for it.

    Returns:
        The winner. Where the metric was not measured on `dev` for all of them, they are compared by the likelihood of
        the right answers there; None where that is not known of all either.
    """
    if len(passed) == 1:
        return passed[0]
    for metric in dict.fromkeys((winner_metric(suite), NLL)):
        better = metric_of(metric).higher_is_better
        found = {name: on_dev(checkpoints[name].evaluation, metric, higher_is_better=better) for name in passed}
        known = {name: value for name, value in found.items() if value is not None}
        if len(known) == len(passed):
            return max(passed, key=lambda name: known.get(name, -math.inf))
    return None


def winner_metric(suite: Suite) -> str:
    """Name the metric by which the winner is chosen."""
    return suite.matrix.winner_by or suite.matrix.primary[0].metric


def no_winner_reason(suite: Suite, passed: Sequence[str], checkpoints: Mapping[str, ChosenCheckpoint]) -> str:
    """Say why none of several candidates that passed was chosen, and what to do."""
    metric = winner_metric(suite)
    better = metric_of(metric).higher_is_better
    missing = [name for name in passed if on_dev(checkpoints[name].evaluation, metric, higher_is_better=better) is None]
    return (
        f"{', '.join(passed)} passed everything, and one must be chosen on dev by {metric} (matrix.winner_by), which "
        f"was not measured there for {', '.join(missing)}. Choose one before the runs, or name a metric that all have"
    )
