"""Simulated error rates and delays of the decisions about live traffic; `make calibrate` writes the page."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np

from mlbaseline.monitor import DAY_US, OVERALL, EventArrays, ScoreArrays, WatchedSlice
from mlbaseline.monitor.canary.decision import decide_canary
from mlbaseline.monitor.canary.evidence import guardrail_evidence
from mlbaseline.monitor.canary.mismatch import mismatch_evidence
from mlbaseline.monitor.canary.plan import plan_canary
from mlbaseline.monitor.canary.report import CanaryDecision
from mlbaseline.monitor.canary.traffic import SplitTraffic
from mlbaseline.monitor.drift.decision import decide_drift
from mlbaseline.monitor.drift.reference import RecordedReference, ReferenceLoss
from mlbaseline.monitor.simulation import START_US, Arms, simulate_events
from mlbaseline.suite import CanaryRules, DriftRules
from tests.monitor.calibration_streams import SHARE, SLICES, Simulate, heavy_tailed, null_streams, pinned, sliced
from tests.support.calibration_rows import Row, Rows, table_line

N = 60_000
"""Requests of a stream, each of them a look."""
ALPHA = 0.05
_SIXTY = 60
"""Streams of a median in the design."""

ERROR_DESIGN = {
    (0.02, 0.0): {2.0: 8_300, 3.0: 2_400},
    (0.02, 0.25): {2.0: 12_300, 3.0: 4_200},
    (0.1, 0.0): {1.5: 6_600, 2.0: 1_700, 3.0: 500},
    (0.1, 0.25): {2.0: 3_700, 3.0: 800},
    (0.2, 0.0): {1.5: 3_200, 2.0: 800, 3.0: 300},
    (0.2, 0.25): {1.5: 15_700, 2.0: 1_800, 3.0: 500},
}
"""(failure rate, tolerated rise) ─▶ true ratio ─▶ median request of detection in the design, of 60 streams each."""
LATENCY_DESIGN = {1.2: 12_700, 2.0: 856}
DRIFT_DESIGN = {200: 6, 87: 12, 31: 34, 11: 89}
"""Labels a day of one of 20 slices ─▶ days until a loss of six points over its reference is found, in the design."""


def detections(guardrail: tuple[str, dict[str, float]], simulate: Simulate, streams: int, *, harm: bool = True) -> Row:
    """Share of streams in which a guardrail decides, and the median request at which it does (∞ for never)."""
    name, rule = guardrail
    rules = CanaryRules.model_validate({"candidate": "c", "alpha": ALPHA, "guardrails": {name: rule}})
    plan = plan_canary(rules, centres={"accuracy": 0.2})
    at = []
    for seed in range(streams):
        traffic = SplitTraffic.of(simulate(seed))
        crossed_us = guardrail_evidence(traffic, plan.tests[0], plan, harm=harm).crossed_us
        at.append(math.inf if crossed_us is None else int(np.searchsorted(traffic.events.time_us, crossed_us)) + 1)
    found = np.array(at)
    draws = np.random.default_rng(0).choice(found, (400, _SIXTY))
    sixty = [_finite(value) for value in np.quantile(np.median(draws, axis=1), [0.025, 0.975], method="nearest")]
    return {"found": float(np.isfinite(found).mean()), "median": _finite(np.median(found)), "sixty": sixty}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def whole_decisions(streams: int, n: int) -> Row:
    """Shares of the streams of two equal arms that end in a roll back, or in a split that is called invalid.

    All guardrails are looked at, on all traffic and on five slices; the rules tolerate no harm.
    """
    guardrails = {
        "error": {"ratio": 1.0},
        "accuracy": {"margin": 0.0},
        "latency_p95": {"ratio": 1.0},
        "cost": {"ratio": 1.0},
    }
    rules = CanaryRules.model_validate({"candidate": "c", "alpha": ALPHA, "guardrails": guardrails})
    plan = plan_canary(rules, slices={"topic": SLICES}, centres={"accuracy": 0.2})
    decided: Counter[CanaryDecision] = Counter()
    for seed in range(streams):
        events = sliced(n, seed)
        decided[decide_canary(events, plan, int(events.time_us[-1])).decision] += 1
    return {
        "roll_back": decided[CanaryDecision.ROLL_BACK] / streams,
        "invalid": decided[CanaryDecision.INVALID] / streams,
    }


def mismatches(simulate: Simulate, streams: int) -> Row:
    """Share of streams in which the split fails its test."""
    crossed = [
        mismatch_evidence(SplitTraffic.of(simulate(seed)), ALPHA, ()).requests.crossed_us is not None
        for seed in range(streams)
    ]
    return {"found": float(np.mean(crossed))}


def drift_row(labels: int | None, streams: int, *, loss: float = 0.29, days: int = 365) -> Row:
    """Alarms of 20 slices of which one, with so many labels a day, rises to a loss; None: none rises."""
    sizes = [labels or 87, *([200, 87, 31, 11] * 5)[:19]]
    names = [f"s{position}" for position in range(20)]
    recorded = {WatchedSlice("s", name): ReferenceLoss(0.2, 0.2, 5_000) for name in names}
    reference = RecordedReference(
        baseline="champion",
        metric="accuracy",
        losses={OVERALL: ReferenceLoss(0.2, 0.5, 5_000), **recorded},
        shares={"s": dict.fromkeys(names, 0.05)},
        tokens_in=np.empty(0),
        latency_s=np.empty(0),
        cost_usd=math.nan,
        run_ids=(),
    )
    rules = DriftRules(delta=0.03, arl_days=365, label_delay=timedelta())
    found, false = [], 0
    for seed in range(streams):
        events = _slices_of_days(np.random.default_rng(seed), sizes, days, loss if labels else 0.2)
        report = decide_drift(events, reference, rules, now_us=START_US + days * DAY_US)
        first = {each.watched.value: each.alarmed for each in report.alarms}
        false += any(name != "s0" for name in first)
        alarmed = first.get("s0") if labels else None
        found.append(math.inf if alarmed is None else (alarmed - report.days[0]).days + 1)
    return {"median": _finite(np.median(found)), "false": false / streams}


def _slices_of_days(rng: np.random.Generator, sizes: list[int], days: int, loss: float) -> EventArrays:
    per_day = sum(sizes)
    events = simulate_events(per_day * days, seed=0, share=0.0, days=float(days))
    slice_of = np.tile(np.repeat(np.arange(20), sizes), days)
    wrong = rng.random(per_day * days) < np.where(slice_of == 0, loss, 0.2)
    return replace(
        events,
        slice_set=slice_of,
        slice_sets=tuple({"s": f"s{position}"} for position in range(20)),
        scores={"accuracy": ScoreArrays(np.where(wrong, 0.0, 1.0), events.time_us)},
    )


def page(streams: int = 400) -> Iterator[str]:
    """The lines of docs/statistics/calibration-monitoring.md."""
    rows = Rows("monitoring")
    yield from _INTRODUCTION.format(streams=streams, n=f"{N:,}").splitlines()
    yield from (
        "",
        "## False alarms",
        "",
        table_line(["stream", "guardrail", "wrong decisions"]),
        table_line(["---"] * 3),
    )
    guardrails: dict[str, tuple[str, dict[str, float]]] = {
        "errors, ratio 1": ("error", {"ratio": 1.0}),
        "accuracy, margin 0": ("accuracy", {"margin": 0.0}),
    }
    for stream, simulate in null_streams(N).items():
        for name, guardrail in guardrails.items():
            setting = {"null": stream, "guardrail": name, "streams": streams}
            found = rows.get(setting, lambda g=guardrail, s=simulate: detections(g, s, streams))
            yield table_line([stream, name, f"{100 * found['found']:.2f} %"])
        found = rows.get({"split": stream, "streams": streams}, lambda s=simulate: mismatches(s, streams))
        yield table_line([stream, "split", f"{100 * found['found']:.2f} %"])
    heavy: dict[str, tuple[str, dict[str, float]]] = {
        "cost, ratio 1": ("cost", {"ratio": 1.0}),
        "latency p95, ratio 1": ("latency_p95", {"ratio": 1.0}),
    }
    for name, guardrail in heavy.items():
        setting = {"null": "heavy-tailed", "guardrail": name, "streams": streams}
        found = rows.get(setting, lambda g=guardrail: detections(g, lambda seed: heavy_tailed(N, seed), streams))
        yield table_line(["heavy-tailed (Pareto, α = 1.5)", name, f"{100 * found['found']:.2f} %"])
    found = rows.get({"whole": True, "streams": streams}, lambda: whole_decisions(streams, N))
    for name, decision in (("all four, five slices", "roll_back"), ("split", "invalid")):
        yield table_line(["whole decisions, swinging ±50 %, 25 %", name, f"{100 * found[decision]:.2f} %"])
    found = rows.get({"pinned": True, "streams": streams}, lambda: mismatches(pinned, min(streams, 60)))
    yield from (
        "",
        f"A cookie that pins the candidate's users alone is found in {100 * found['found']:.0f} % of the streams.",
    )
    yield from (
        "",
        "## Delays of the canary",
        "",
        table_line(["guardrail", "true ratio", "median request", "of 60 streams", "design"]),
    )
    yield table_line(["---"] * 5)
    for (rate, rise), designs in ERROR_DESIGN.items():
        for ratio, design in designs.items():
            setting = {"error": rate, "rise": rise, "ratio": ratio, "streams": streams, "medians_of": _SIXTY}
            found = rows.get(setting, lambda a=rate, b=rise, c=ratio: error_delay(a, b, c, streams))
            yield table_line(
                [f"errors {100 * rate:g} %, tolerated × {1 + rise:g}", ratio, *_delays(found), f"{design:,}"]
            )
    for ratio, design in LATENCY_DESIGN.items():
        found = rows.get(
            {"latency": ratio, "streams": streams, "medians_of": _SIXTY}, lambda c=ratio: latency_delay(c, streams)
        )
        yield table_line(["latency p95, tolerated × 1", ratio, *_delays(found), f"{design:,}"])
    yield from ("", "## Drift", "", table_line(["labels a day", "median days", "design", "years with a false alarm"]))
    yield table_line(["---"] * 4)
    for labels, design in DRIFT_DESIGN.items():
        found = rows.get({"drift": labels, "streams": streams}, lambda n=labels: drift_row(n, streams))
        yield table_line([labels, found["median"], design, f"{100 * found['false']:.0f} %"])
    found = rows.get({"drift": None, "streams": streams}, lambda: drift_row(None, streams))
    yield table_line(["no rise", "", "", f"{100 * found['false']:.0f} %"])


def error_delay(rate: float, rise: float, ratio: float, streams: int) -> Row:
    return detections(
        ("error", {"ratio": 1 + rise}),
        lambda seed: simulate_events(N, seed=seed, share=SHARE, error=Arms(rate, rate * ratio)),
        streams,
    )


def latency_delay(ratio: float, streams: int) -> Row:
    return detections(
        ("latency_p95", {"ratio": 1.0}),
        lambda seed: simulate_events(N, seed=seed, share=SHARE, latency_s=Arms(0.1, 0.1 * ratio)),
        streams,
    )


def _delays(found: Row) -> tuple[str, str]:
    """Write the median, and between what the medians of 60 streams lie: those of the design are such ones."""
    low, high = found["sixty"]
    return _count(found["median"]), f"{_count(low)} to {_count(high)}"


def _count(median: float | None) -> str:
    return "rarely" if median is None else f"{median:,.0f}"


_INTRODUCTION = """# Calibration of monitoring

What `mlbaseline canary` and `mlbaseline drift` decide, in simulation: {streams} streams of {n} requests, a canary
of 5 % unless said otherwise, α = 5 % for one guardrail (with several, each has its part of it), a look after every
request. `make calibrate` repeats it.

The design's delays are medians of 60 streams. Such medians scatter: the column "of 60 streams" has the range in which
95 % of them lie, by resampling.

How it stays valid at any look: each guardrail is an e-value, which reaches 1/α with a probability of at most α,
whenever and however often one looks.

- **Errors**: among failures of both arms, the candidate's share (Lindon and Malek 2022); each user's first failure.
  Non-inferiority counts each user's first request instead: once most users have failed, first failures feign equality.
- **Scores and cost**: bets on the difference of both arms, weighted by the inverse of the share: exact at any size.
- **Latency**: requests beyond a quantile of the champion's earlier requests count as failures. The test at the quantile
  itself must take the least evidence over all its possible values; a threshold from the past has no such price.
- **Split**: the arm of each user's first, second, fourth and eighth request.
- **Drift**: an e-detector for each slice (Shin, Ramdas and Rinaldo 2023), thresholds over slices by e-BH."""


if __name__ == "__main__":
    for line in page(int(sys.argv[1]) if len(sys.argv) > 1 else 400):
        print(line)
