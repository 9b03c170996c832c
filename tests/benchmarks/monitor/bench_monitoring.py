"""How long decisions about live traffic take: python -m tests.benchmarks.monitor.bench_monitoring

A canary decision over a million events (promised: 1 s), and a year of 20 slices with 200 labels a day (10 s). Exit code
1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

import numpy as np

from mlbaseline.monitor import DAY_US, OVERALL, WatchedSlice
from mlbaseline.monitor.canary.decision import decide_canary
from mlbaseline.monitor.canary.plan import plan_canary
from mlbaseline.monitor.drift.decision import decide_drift
from mlbaseline.monitor.drift.reference import RecordedReference, ReferenceLoss
from mlbaseline.monitor.simulation import START_US, Arms, simulate_events
from mlbaseline.suite import CanaryRules, DriftRules
from tests.benchmarks.json_results import add_json_option, write_results

GUARDRAILS = {
    "error": {"ratio": 1.25},
    "accuracy": {"margin": 0.02},
    "latency_p95": {"ratio": 1.2},
    "cost": {"ratio": 1.1},
}


@dataclass(frozen=True)
class Timed:
    """One decision. target_s: what is promised."""

    what: str
    seconds: float
    cpu_s: float
    target_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_option(parser)
    options = parser.parse_args()
    results = [canary(None), canary(200_000), drift()]
    for result in results:
        print(
            f"{result.what:<60} {result.seconds:>7.2f} s  {result.cpu_s:>7.2f} s CPU  (promised {result.target_s:g} s)"
        )
    write_results(options.json, "monitoring", [asdict(result) for result in results])
    sys.exit(any(result.cpu_s > result.target_s for result in results))


def canary(units: int | None) -> Timed:
    events = simulate_events(
        1_000_000,
        seed=1,
        units=units,
        days=5,
        accuracy=Arms(0.8, 0.8),
        latency_s=Arms(0.1, 0.1),
        cost_usd=Arms(1e-4, 1e-4),
        slices={"topic": tuple("abcde")},
    )
    rules = CanaryRules.model_validate({"candidate": "lora", "guardrails": GUARDRAILS})
    plan = plan_canary(rules, slices={"topic": list("abcde")}, centres={"accuracy": 0.2})
    end_us = int(events.time_us[-1])
    who = "a unit each" if units is None else f"of {units:,} units"
    what = f"canary, 1,000,000 labelled events {who}, 4 guardrails, 5 slices"
    return timed(what, lambda: decide_canary(events, plan, end_us), 1.0)


def drift() -> Timed:
    names = tuple(f"s{position}" for position in range(20))
    events = simulate_events(
        365 * 20 * 200, seed=1, share=0.0, days=365, accuracy=Arms(0.8, 0.8), slices={"topic": names}
    )
    recorded = {WatchedSlice("topic", name): ReferenceLoss(0.2, 0.21, 1_000) for name in names}
    reference = RecordedReference(
        baseline="champion",
        metric="accuracy",
        losses={OVERALL: ReferenceLoss(0.2, 0.21, 20_000), **recorded},
        shares={"topic": dict.fromkeys(names, 0.05)},
        tokens_in=np.empty(0),
        latency_s=np.empty(0),
        cost_usd=math.nan,
        run_ids=(),
    )
    rules = DriftRules(label_delay=timedelta(days=3))
    now_us = START_US + 370 * DAY_US
    what = "drift, a year of 20 slices with 200 labels a day"
    return timed(what, lambda: decide_drift(events, reference, rules, now_us=now_us), 10.0)


def timed(what: str, call: Callable[[], object], target_s: float) -> Timed:
    best = Timed(what, math.inf, math.inf, target_s)
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        found = Timed(what, time.perf_counter() - wall, time.process_time() - cpu, target_s)
        best = min(best, found, key=lambda each: each.cpu_s)
    return best


if __name__ == "__main__":
    main()
