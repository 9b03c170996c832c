"""How long a million events take: python -m tests.benchmarks.monitor.bench_ledger [EVENTS] [--format parquet|jsonl|csv]

Ingests a made stream into SQLite, the same file again, the same rows under another name (so that each is looked up),
and reads them for a decision. Prints seconds of wall and CPU and the peak memory, beside what the project promises for
a million: 300 s, 30 s again, 1 GB, and 1 s for a decision.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from mlbaseline.monitor import EventArrays, Ledger, closed_days, open_ledger
from mlbaseline.monitor.canary.traffic import SplitTraffic
from mlbaseline.monitor.event_files import read_events
from mlbaseline.monitor.ingesting import ingest_batches, ingest_file
from tests.benchmarks.json_results import add_json_option, write_results
from tests.support.traffic import NOW, stream

_MADE_AT_ONCE = 100_000


@dataclass(frozen=True)
class Timed:
    """One step. peak_bytes: of the process until then."""

    what: str
    seconds: float
    cpu_s: float
    peak_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--format", default="parquet", choices=["parquet", "jsonl", "csv"])
    add_json_option(parser)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder, f"events.{options.format}")
        write_stream(path, options.events)
        results = measure(path)
    for result in results:
        print(f"{result.what:<34} {result.seconds:>8.2f} s  {result.cpu_s:>8.2f} s CPU  {result.peak_bytes:>14,} bytes")
    shared = {"events": options.events, "format": options.format}
    write_results(options.json, "ledger", [{**shared, **asdict(result)} for result in results])


def write_stream(path: Path, n: int) -> None:
    """Write n events over 30 days, a fifth of them labelled, five from each user. In pieces, to leave memory alone."""
    pieces = [
        stream(min(_MADE_AT_ONCE, n - start), seed=start, days=30, units=_MADE_AT_ONCE // 5)
        for start in range(0, n, _MADE_AT_ONCE)
    ]
    frame = pd.concat(pieces, ignore_index=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso", date_unit="us")


def measure(path: Path) -> list[Timed]:
    """Time each step; the peak is that of the process so far."""
    ledger = open_ledger(path.with_name("ledger.db"), "tickets")

    def again() -> object:
        return ingest_batches(ledger, read_events(path), source="other", slices=["topic"], now=NOW)

    return [
        timed("ingest", lambda: ingest_file(ledger, path, slices=["topic"], now=NOW)),
        timed("the same file again", lambda: ingest_file(ledger, path, slices=["topic"], now=NOW)),
        timed("the same rows in another file", again),
        timed("read and count for a decision", lambda: decide(ledger)),
    ]


def decide(ledger: Ledger) -> object:
    """What canary and drift read."""
    events: EventArrays = ledger.read()
    traffic = SplitTraffic.of(events)
    labels = events.score("accuracy")
    delay = timedelta(days=1)
    return (
        (traffic.first(), traffic.failing(), traffic.labelled("accuracy"), traffic.crossing_units()),
        closed_days(events, 1 - labels.score, labels.known_us, slices=["topic"], label_delay=delay),
    )


def timed(what: str, step: Callable[[], object]) -> Timed:
    started, cpu = time.perf_counter(), time.process_time()
    step()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Timed(what, seconds, cpu_s, peak)


if __name__ == "__main__":
    main()
