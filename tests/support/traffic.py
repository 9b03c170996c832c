"""Events of live traffic for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd

from mlbaseline.monitor import EventArrays, Ledger, check_rows, open_ledger

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
NOW = datetime(2026, 12, 31, tzinfo=timezone.utc)


def event(name: str, *, at: timedelta = timedelta(), **fields: object) -> dict[str, object]:
    """One raw event, of the champion unless said otherwise. at: since START."""
    return {"request_id": name, "time": (START + at).isoformat(), "arm": "champion", **fields}


def label(name: str, score: object, *, at: timedelta | None = None, metric: str = "accuracy") -> dict[str, object]:
    """One raw label. at: since START; None: without a time."""
    known = {} if at is None else {"label_time": (START + at).isoformat()}
    return {"request_id": name, f"score.{metric}": score, **known}


def ledger_of(path: Path, *batches: Iterable[Mapping[str, object]], suite: str = "tickets") -> Ledger:
    """A ledger with these batches of raw rows."""
    ledger = open_ledger(path, suite)
    for position, batch in enumerate(batches):
        add(ledger, batch, source=f"batch {position}")
    return ledger


def add(
    ledger: Ledger, rows: Iterable[Mapping[str, object]], source: str = "events"
) -> tuple[int, int, dict[str, int]]:
    """Add raw rows; returns new requests, new labels and problems."""
    checked = check_rows(pd.DataFrame(list(rows)), source=source, now=NOW)
    added = ledger.add(checked, source=source)
    checked.problems.update(added.problems)
    return added.requests, added.labels, dict(checked.problems.counts)


def stream(
    n: int,
    *,
    seed: int = 0,
    days: float = 10.0,
    start: datetime = START,
    share: float = 0.05,
    failure_rate: tuple[float, float] = (0.02, 0.02),
    accuracy: tuple[float, float] = (0.8, 0.8),
    labelled: float = 0.2,
    label_delay: timedelta = timedelta(hours=5),
    units: int | None = None,
) -> pd.DataFrame:
    """A raw stream in time order. failure_rate, accuracy: of champion and candidate. units: None for one a request."""
    rng = np.random.default_rng(seed)
    time = pd.Timestamp(start) + pd.to_timedelta(np.sort(rng.uniform(0, days * 86_400, n)), unit="s")
    unit = rng.integers(0, units, n) if units else np.arange(n)
    is_candidate = rng.random(units or n)[unit] < share
    score = (rng.random(n) < np.where(is_candidate, accuracy[1], accuracy[0])).astype(float)
    frame = pd.DataFrame(
        {
            "request_id": [f"tr-{seed}-{position:09d}" for position in range(n)],
            "time": time,
            "arm": np.where(is_candidate, "candidate", "champion"),
            "share": share,
            "error": rng.random(n) < np.where(is_candidate, failure_rate[1], failure_rate[0]),
            "latency_s": rng.exponential(0.3, n),
            "cost_usd": rng.exponential(0.001, n),
            "tokens_in": rng.integers(1, 500, n),
            "tokens_out": rng.integers(1, 50, n),
            "slice.topic": rng.choice(["billing", "login", "other"], n, p=[0.5, 0.3, 0.2]),
            "label_time": time + label_delay,
            "score.accuracy": np.where(rng.random(n) < labelled, score, np.nan),
        }
    )
    return frame.assign(unit=[f"user-{number}" for number in unit]) if units else frame


def arrays_of(path: Path, frame: pd.DataFrame) -> EventArrays:
    """A raw stream through a ledger."""
    ledger = open_ledger(path, "tickets")
    ledger.add(check_rows(frame, source="stream", now=NOW), source="stream")
    ledger.pack()
    return ledger.read()
