"""All that a comparison step finds, from the completed evaluations of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlbaseline.errors import DataError
from mlbaseline.judge.checkpoint import Checkpoint, choose_checkpoint
from mlbaseline.judge.comparability import require_comparable
from mlbaseline.judge.comparison import compare, more_examples
from mlbaseline.judge.gates import decide
from mlbaseline.judge.standing import stand
from mlbaseline.metrics import METRICS
from mlbaseline.records import Assessment
from mlbaseline.results import Evaluation
from mlbaseline.suite import Suite

RESAMPLING_SEED = 20_260_101
"""The comparison of the same tables gives the same numbers every time."""


def assess(suite: Suite, evaluations: Sequence[Evaluation], context: Mapping[str, Any]) -> Assessment:
    """Compare every rung, and judge the candidates by the suite's rules.

    evaluations: the completed runs, any order; context: what the numbers stand on, for the report.
    Raises IncomparableError (see `require_comparable`), and DataError where a rung of the matrix has no evaluation.
    """
    ladder = _by_rung(suite, evaluations)
    warnings = require_comparable([evaluation.table for rung in ladder.values() for evaluation in rung])
    rng = np.random.default_rng(RESAMPLING_SEED)
    checkpoints = {name: _checkpoint(suite, name, rung) for name, rung in ladder.items()}
    standings = {name: stand(suite, name, rung, rng) for name, rung in ladder.items()}
    comparisons = compare(suite, ladder, checkpoints, rng)
    return Assessment(
        suite=suite.name,
        level=suite.matrix.level,
        metrics={name: METRICS[name].higher_is_better for name in suite.metrics},
        standings=tuple(standings.values()),
        comparisons=comparisons,
        mismatches=warnings,
        verdict=decide(suite, comparisons, standings, checkpoints, more_examples),
        context=context,
    )


def _by_rung(suite: Suite, evaluations: Sequence[Evaluation]) -> dict[str, tuple[Evaluation, ...]]:
    """Rungs in the order of the suite, their seeds in ascending order."""
    by_seed = sorted(evaluations, key=lambda evaluation: evaluation.table.seed or 0)
    found = {name: tuple(e for e in by_seed if e.table.baseline == name) for name in suite.baselines}
    matrix = suite.matrix
    needed = {
        name for contrast in (*matrix.primary, *matrix.guardrails) for name in (contrast.candidate, *contrast.over)
    }
    missing = [name for name in suite.baselines if name in needed and not found[name]]
    if missing:
        raise DataError(
            f"{suite.name}: the matrix compares {', '.join(missing)}, but no completed evaluation of "
            f"{'it' if len(missing) == 1 else 'them'} was found. Run `mlbaseline evaluate` for what is missing first."
        )
    if not any(found.values()):
        raise DataError(f"{suite.name}: no completed evaluation was found. Run `mlbaseline evaluate` first.")
    return {name: rung for name, rung in found.items() if rung}


def _checkpoint(suite: Suite, name: str, rung: Sequence[Evaluation]) -> Checkpoint:
    """By the metric that the rung is a candidate for; by the suite's first for all others."""
    metric = next((c.metric for c in suite.matrix.primary if c.candidate == name), suite.metrics[0])
    return choose_checkpoint(rung, metric, higher_is_better=METRICS[metric].higher_is_better)
