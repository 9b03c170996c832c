"""What live traffic is compared with, from the tracking server."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from mlbaseline import store
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.monitor import OVERALL
from mlbaseline.monitor.canary.plan import CanaryPlan, plan_canary
from mlbaseline.monitor.drift.reference import RecordedReference, reference_of
from mlbaseline.store.server.reporting import reporting
from mlbaseline.suite import CanaryRules, Monitor, Production, Suite
from mlbaseline.workflows.monitor.champion import find_champion

_COST = "cost_per_query_usd"
_log = logging.getLogger("mlbaseline")


def find_reference(suite: Suite, monitor: Monitor, tracker: store.Tracker) -> RecordedReference:
    """Read the recorded results of `monitor.reference`.

    Of a registered model they are those of the run that evaluated it before its promotion, else those of the
    baseline's newest runs.

    Raises:
        DataError: There is none.
        TrackingError: The server cannot be reached.
    """
    runs = _runs(suite, monitor, tracker)
    if not runs:
        raise DataError(
            f"monitor.reference: {monitor.reference!r} has no completed evaluation on {tracker.uri}. "
            f"Run `mlbaseline evaluate {suite.name} --baseline {monitor.reference}` first."
        )
    tables = store.load_tables(tracker, runs, cache=store.tables_cache())
    return reference_of(
        tables,
        metric=monitor.metric,
        slices=monitor.slices,
        run_ids=[run.run_id for run in runs],
        cost_usd=runs[0].metrics.get(_COST, math.nan),
    )


def canary_plan(rules: CanaryRules, monitor: Monitor, reference: RecordedReference | None) -> CanaryPlan:
    """Split the canary's error rate over guardrails and, where the reference's slices are known, over those."""
    if reference is None:
        return plan_canary(rules)
    return plan_canary(
        rules,
        slices={name: reference.values(name) for name in monitor.slices},
        centres={monitor.metric: reference.losses[OVERALL].loss},
    )


def reference_or_none(suite: Suite, monitor: Monitor, tracker: store.Tracker) -> RecordedReference | None:
    """Read the reference, or say on the log why slices are not watched."""
    try:
        return find_reference(suite, monitor, tracker)
    except DataError as error:
        _log.warning("%s Until then slices are not watched.", error)
        return None


def detector_start_us(suite: Suite, tracker: store.Tracker) -> int | None:
    """Find when the champion became a version: the drift detector starts again there.

    Returns:
        Microseconds since 1970; None where the suite has no registered model in production.

    Raises:
        TrackingError: The server cannot be reached.
    """
    try:
        champion = find_champion(suite, tracker)
    except (DataError, SuiteError):
        return None
    if not champion.is_version:
        return None
    name, _, number = champion.identity.rpartition("/")
    with reporting(f"find when {champion.identity} was registered", tracker.uri):
        return int(tracker.client.get_model_version(name, number).creation_timestamp) * 1_000


def _runs(suite: Suite, monitor: Monitor, tracker: store.Tracker) -> Sequence[store.EvaluationRun]:
    spec = suite.baselines[monitor.reference]
    if isinstance(spec, Production) and spec.uri is not None:
        from mlbaseline.serving.registered_models import find_identity

        identity = find_identity(tracker, spec.uri)
        if identity is not None and identity.evaluation_run_id is not None:
            return [store.read_evaluation(tracker, identity.evaluation_run_id)]
    return newest_evaluations(tracker, monitor.reference)


def newest_evaluations(tracker: store.Tracker, baseline: str) -> list[store.EvaluationRun]:
    """Find a baseline's newest completed evaluation of each seed, all of the same task; the newest first.

    Raises:
        TrackingError: The server cannot be reached.
    """
    newest: dict[int | None, store.EvaluationRun] = {}
    for run in store.find_evaluations(tracker):
        if run.baseline == baseline and run.split != "dev" and run.examples_sha256 is not None:
            newest.setdefault(run.seed, run)
    same_task = next(iter(newest.values())).task_digest if newest else None
    return [run for run in newest.values() if run.task_digest == same_task]
