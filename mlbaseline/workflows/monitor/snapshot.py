"""The champion against the reference on labelled items of live traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mlbaseline import serving, store
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.metrics import add_scores
from mlbaseline.monitor.event_arrays import Floats
from mlbaseline.monitor.event_rows import EPOCH
from mlbaseline.monitor.holdout import HoldoutItem, latest_closed_period, period_of
from mlbaseline.monitor.snapshots import AnchorCheck, Snapshot, SnapshotOutcome, check_anchor, judge_snapshot
from mlbaseline.report.plots.history_plot import HistoryPlot, history_plot
from mlbaseline.report.plots.render import render_plot
from mlbaseline.store.live import (
    SNAPSHOT,
    StoredSnapshot,
    anchor_scores,
    find_snapshots,
    log_snapshot,
    snapshot_tags,
    tell_version,
)
from mlbaseline.suite import Monitor, Suite
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.evaluations.answering import tabulate_answers
from mlbaseline.workflows.monitor.champion import ChampionModel, find_champion
from mlbaseline.workflows.monitor.holdout import Holdout, holdout_task, prepare_holdout
from mlbaseline.workflows.monitor.ledgers import ledger_of, monitor_of


def snapshot(suite: str | Path, *, ledger: str | None = None, tracking_uri: str | None = None) -> CommandResult:
    """Evaluate the champion and the reference on the latest closed period of live traffic, and judge what adds up.

    A period that has a snapshot already is not evaluated again.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        ledger: Path of a SQLite file, or a URL of SQLAlchemy. By default a file beside the tracking database.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document is the snapshot (means, difference with interval, e-values, anchor items, `outcome`) with its
        `run_id`. The exit code is 3 at a breach, else 0.

    Raises:
        DataError: No period is closed yet, or its traffic has no labelled item.
        SuiteError: The suite has no `monitor`, or no registered model in production.
        TrackingError: The server cannot be reached, or there is no champion.
    """
    loaded = open_suite(suite)
    monitor = monitor_of(loaded)
    tracker = store.connect(tracking_uri, loaded.name)
    champion = find_champion(loaded, tracker)
    last_us = ledger_of(loaded, ledger, tracker.uri).summary().last_us
    if last_us is None:
        raise DataError(f"{loaded.name}: the ledger has no events. Run `mlbaseline ingest` first.")
    period = latest_closed_period(last_us, monitor.holdout.refresh, monitor.drift.label_delay)
    before = find_snapshots(tracker, champion.identity)
    done = next((one for one in before if one.found.period == period.number), None)
    if done is not None:
        return _result(done, is_new=False)
    holdout = prepare_holdout(loaded, monitor, tracker, period)
    tags = {**store.suite_tags(loaded), **snapshot_tags(loaded, champion.identity, period.number)}
    with store.open_run(tracker, SNAPSHOT, name=f"{loaded.name} snapshot: {_date(period.first_day)}", tags=tags) as run:
        scored = _score(loaded, monitor, tracker, champion, holdout)
        reference = scored.reference
        found = judge_snapshot(
            scored.champion,
            _recorded(tracker, champion, monitor.metric) if reference is None else reference,
            is_paired=reference is not None,
            tolerated=monitor.drift.delta,
            level=loaded.matrix.level,
            before=[one.found.log_e for one in before if one.found.period < period.number],
            period=period.number,
            anchor=_anchor(tracker, before, scored, loaded.matrix.level),
        )
        history = [*(one.found for one in before), found]
        log_snapshot(
            run,
            found,
            history,
            scores={
                "holdout": {"champion": scored.champion, **({} if reference is None else {"reference": reference})},
                "anchor": {"champion": scored.anchor},
            },
            ids={"holdout": scored.ids, "anchor": scored.anchor_ids},
            plot=render_plot(_plot(monitor, history)),
        )
        if champion.is_version:
            tell_version(run, champion.identity, found)
    return _result(StoredSnapshot(run.run_id, found), is_new=True)


@dataclass(frozen=True, eq=False)
class _Scored:
    """Scores (n,) on the holdout in the order of `ids`; reference: None where it is the champion itself."""

    ids: list[str]
    champion: Floats
    reference: Floats | None
    anchor_ids: list[str]
    anchor: Floats


def _score(
    suite: Suite, monitor: Monitor, tracker: store.Tracker, champion: ChampionModel, holdout: Holdout
) -> _Scored:
    both = [*holdout.items, *holdout.anchor]
    names = dict.fromkeys([champion.baseline, monitor.reference])
    scores = {name: _scores_of(suite, tracker, name, both, monitor.metric) for name in names}
    ours = scores[champion.baseline]
    theirs = scores[monitor.reference] if monitor.reference != champion.baseline else None
    ids = [item.request_id for item in holdout.items if item.request_id in ours]
    anchor_ids = [item.request_id for item in holdout.anchor if item.request_id in ours]
    return _Scored(
        ids,
        np.array([ours[name] for name in ids]),
        None if theirs is None else np.array([theirs[name] for name in ids]),
        anchor_ids,
        np.array([ours[name] for name in anchor_ids]),
    )


def _scores_of(
    suite: Suite, tracker: store.Tracker, name: str, items: Sequence[HoldoutItem], metric: str
) -> dict[str, float]:
    """Scores of a baseline by request; one that is drawn answers with the suite's first seed."""
    needed = {name, getattr(suite.baselines[name], "base", None)}
    only = suite.model_copy(update={"baselines": {key: spec for key, spec in suite.baselines.items() if key in needed}})
    fetch = make_fetcher(suite, tracker)
    with TemporaryDirectory() as folder:
        on_items, task = holdout_task(only, fetch, items, Path(folder))
        context = RungContext(
            on_items,
            task,
            fetch,
            find_registered=partial(serving.find_registered, tracker, trusted=store.trusted_keys(suite)),
        )
        rung = build_rungs(context, name, suite.seeds[:1])[0]
        if rung.open is None:
            raise SuiteError(suite.name, [f"monitor.reference: {name!r} has no answers of its own"])
        data = task.splits["test"]
        table = tabulate_answers(on_items, data, rung, rung.open().model.answer(data.examples))
    values = add_scores(table, on_items.task.labels, (metric,)).scores(metric)
    assert values is not None  # `suite` lets metrics of single events through only
    return dict(zip(table.frame["example_id"], values.tolist(), strict=True))


def _recorded(tracker: store.Tracker, champion: ChampionModel, metric: str) -> Floats:
    """Scores of the champion when it was promoted."""
    if champion.evaluation is None:
        raise DataError(
            f"monitor.reference: {champion.identity} was not promoted by mlbaseline, so that its recorded scores are "
            "not known; name another baseline, which then answers the same items"
        )
    run = store.read_evaluation(tracker, champion.evaluation)
    (table,) = store.load_tables(tracker, [run], cache=store.tables_cache())
    values = table.scores(metric)
    if values is None:
        raise DataError(f"monitor.metric: the run {run.run_id}, which evaluated {champion.identity}, has no {metric}")
    return np.asarray(values, dtype=float)


def _anchor(
    tracker: store.Tracker, before: Sequence[StoredSnapshot], scored: _Scored, level: float
) -> AnchorCheck | None:
    if not before or not scored.anchor_ids:
        return None
    then = anchor_scores(tracker, before[0].run_id)
    both = [
        (now, then[name]) for name, now in zip(scored.anchor_ids, scored.anchor.tolist(), strict=True) if name in then
    ]
    now_and_then = np.array(both, dtype=float).reshape(-1, 2)
    return check_anchor(now_and_then[:, 0], now_and_then[:, 1], level=level)


def _plot(monitor: Monitor, history: Sequence[Snapshot]) -> HistoryPlot:
    days = [period_of(one.period, monitor.holdout.refresh).first_day for one in history]
    return history_plot(
        monitor.metric,
        periods=[_date(day) for day in days],
        champion=[one.champion_mean for one in history],
        reference=[one.reference_mean for one in history],
        tolerated=monitor.drift.delta,
    )


def _date(day: int) -> str:
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"


def _result(stored: StoredSnapshot, *, is_new: bool) -> CommandResult:
    found = stored.found
    document = {"run_id": stored.run_id, "new": is_new, **asdict(found)}
    return CommandResult(
        document,
        lambda *_: _text(stored, is_new),
        exit_code=3 if found.outcome is SnapshotOutcome.BREACH else 0,
    )


def _text(stored: StoredSnapshot, is_new: bool) -> str:
    found, how = stored.found, "on the same items" if stored.found.is_paired else "as recorded at its promotion"
    said = {
        SnapshotOutcome.HOLDS: "The champion holds",
        SnapshotOutcome.BREACH: "Breach: the champion is worse than the reference by more than is tolerated",
    }
    lines = [
        f"{said[found.outcome]}: {found.champion_mean:.3f} on {found.n:,} live items, reference "
        f"{found.reference_mean:.3f} {how}; {found.delta:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
        f"Evidence of a breach: log e {found.log_e_total:.2f} over all periods, threshold {found.threshold:.2f}",
    ]
    if found.anchor is not None and found.anchor.has_moved:
        lines.append(
            f"On {found.anchor.n} items that never change, {found.anchor.changed} scores are other ones than at first "
            f"({found.anchor.delta:+.3f}): the server, the tokenizer or the judge changed, and not the world."
        )
    elif found.anchor is not None:
        lines.append(f"Items that never change: {found.anchor.changed} of {found.anchor.n} scores are other ones")
    lines.append(f"Run {stored.run_id}" + ("" if is_new else " (this period had its snapshot already)"))
    return "\n".join(lines)
