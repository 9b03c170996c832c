"""The mix of a slice in recorded traffic, to be registered as weights."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from mlbaseline.errors import DataError, SuiteError
from mlbaseline.monitor.event_rows import microseconds
from mlbaseline.suggestions import did_you_mean
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.monitor.ledgers import ledger_of, monitor_of

_PLACES = 4


def mix(
    suite: str | Path,
    slicing: str,
    *,
    ledger: str | None = None,
    since: datetime | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Measure the shares that the values of a slice have in recorded traffic.

    They are printed as `matrix: {weights: …}`, to be written into the suite before its runs: what decides is what is
    registered, not what traffic does later.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        slicing: Name of a slice that the suite monitors.
        ledger: Path of a SQLite file, or a URL of SQLAlchemy. By default a file beside the tracking database.
        since: Count requests from this time on. By default all.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `slice`, `requests`, `mix` (value ─▶ share) and `unknown`, the requests without a value.

    Raises:
        DataError: The ledger has no request with a value of the slice.
        LedgerError: The ledger cannot be used, or is that of another suite.
        SuiteError: The suite has no `monitor`, or the slice is not among those it monitors.
    """
    loaded = load_suite(suite)
    monitored = monitor_of(loaded).slices
    if slicing not in monitored:
        there_are = f"the suite has: {', '.join(monitored) or 'none'}{did_you_mean(slicing, monitored)}"
        raise SuiteError("--slice", [f"{slicing!r} is not monitored; {there_are}"])
    start = None if since is None else microseconds(since.replace(tzinfo=since.tzinfo or timezone.utc))
    events = ledger_of(loaded, ledger, tracking_uri).read(since_us=start)
    sizes = np.bincount(events.slice_set, minlength=len(events.slice_sets))
    counts: Counter[str | None] = Counter()
    for values, size in zip(events.slice_sets, sizes.tolist(), strict=True):
        counts[values.get(slicing)] += size
    unknown, known = counts.pop(None, 0), {str(value): n for value, n in sorted(counts.items(), key=str) if n}
    total = sum(known.values())
    if not total:
        raise DataError(f"the ledger has no request with a value of {slicing}; `mlbaseline ingest` reads traffic")
    measured = {value: round(n / total, _PLACES) for value, n in known.items()}
    document = {"slice": slicing, "requests": total, "unknown": unknown, "mix": measured}
    shares = ", ".join(f"{value}: {share:g}" for value, share in measured.items())
    without = f" {unknown:,} requests without a value are left out." if unknown else ""
    text = (
        f"{total:,} requests.{without} Write this down before the runs:\n\nmatrix:\n"
        f"  weights: {{slice: {slicing}, mix: {{{shares}}}}}\n"
    )
    return CommandResult(document, lambda *_: text)
