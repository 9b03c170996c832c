"""Assessments as a real comparison of the tweets suite gives them, and ones that a hostile or broken one might."""

from __future__ import annotations

import math
from dataclasses import replace

from mlbaseline.judge.audit import CHECKS
from mlbaseline.judge.audit.check import CheckResult
from mlbaseline.judge.cost.pareto import pareto_front
from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.records import (
    Assessment,
    Bounds,
    BreakEven,
    Change,
    Comparison,
    Confusion,
    Cost,
    Estimate,
    ExampleAnswer,
    ExampleChange,
    ExamplePair,
    ExampleReport,
    Finding,
    FoundSlice,
    Front,
    FrontPoint,
    GateCode,
    Mismatch,
    Outcome,
    PublishedScore,
    Registered,
    Registration,
    SliceDelta,
    SliceGap,
    SliceReport,
    SliceSearch,
    SliceSpread,
    SmallSlice,
    Standing,
    UnpairedContrast,
    Verdict,
)
from tests.support.comparisons import judged

NAN, INF = math.nan, math.inf
N = 300
MACHINE = {
    "hardware.cores": "2",
    "hardware.cpu": "AMD EPYC 7R13",
    "hardware.device": "cpu",
}
SLICES = {
    "topic": {"airline": 118, "apple": 31, "cars": 37, "football": 72, "other": 42},
    "difficulty": {"ambiguous": 96, "clear": 131, "mixed": 73},
    "length": {"q1": 101, "q2": 100, "q3": 99},
}
# name: kind, accuracy, macro_f1, nll, ece, seed std, seeds, USD per query, p95, memory, training seconds
RUNGS = {
    "majority": ("trivial", 0.417, 0.196, None, None, None, 1, 0.0, 1.1e-6, 0.31e9, None),
    "uniform": ("trivial", 0.336, 0.324, None, None, 0.021, 3, 0.0, 1.3e-6, 0.31e9, None),
    "stratified": ("trivial", 0.354, 0.331, None, None, 0.017, 3, 0.0, 1.4e-6, 0.31e9, None),
    "keyword": ("trivial", 0.483, 0.421, None, None, None, 1, 0.0, 8.2e-6, 0.31e9, None),
    "zero_shot": ("pretrained", 0.390, 0.287, 1.312, 0.188, None, 1, 1.62e-6, 0.121, 1.04e9, None),
    "few_shot": ("pretrained", 0.423, 0.361, 1.174, 0.142, None, 1, 5.31e-6, 0.387, 1.12e9, None),
    "lora": ("peft", 0.607, 0.571, 0.884, 0.061, 0.014, 3, 1.71e-6, 0.127, 1.06e9, 288.4),
    "full": ("full", 0.622, 0.590, 0.861, 0.073, 0.009, 3, 1.66e-6, 0.122, 2.41e9, 351.9),
    "annotator": ("human", 0.842, None, None, None, None, 1, None, None, None, None),
}


def estimate(value: float, half: float, seeds: int = 1) -> Estimate:
    return Estimate(value, value - half, value + half, 0.95, N, N, seeds, "t")


def standing(name: str) -> Standing:
    kind, accuracy, f1, nll, ece, std, seeds, usd, p95, memory, train_s = RUNGS[name]
    values = {"accuracy": (accuracy, 0.056), "macro_f1": (f1, 0.051), "nll_nats": (nll, 0.071), "ece": (ece, 0.034)}
    metrics = {metric: estimate(value, half, seeds) for metric, (value, half) in values.items() if value is not None}
    offsets = (0.031, -0.052, 0.014, -0.022, 0.007)
    slices = {
        slicing: {value: {"accuracy": accuracy + offsets[i % 5]} for i, value in enumerate(values)}
        for slicing, values in SLICES.items()
    }
    bounds = {}
    if p95 is not None:
        bounds = {"latency_p95_s": Bounds(p95 * 0.8, None), "latency_p50_s": Bounds(p95 * 0.5, p95 * 0.7)}
    if usd is not None:
        bounds["usd_per_query"] = Bounds(usd * 0.9, usd * 1.15)
    cost = Cost(
        train_s=train_s,
        train_usd=None if train_s is None else train_s * 0.1 / 3600,
        compute_s_per_query=0.0 if usd is None else usd * 36_000,
        usd_per_query=usd,
        latency_p50_s=None if p95 is None else p95 * 0.62,
        latency_p95_s=p95,
        peak_memory_bytes=None if memory is None else int(memory),
        latency_p99_s=None if p95 is None else p95 * 1.2,
        bounds=bounds,
        priced_by=None if usd is None else "hardware",
        n_timed=0 if p95 is None else 24 * seeds,
        trainable_params={"trivial": 0, "pretrained": 0, "peft": 2_442_240, "full": 134_515_008}.get(kind),
    )
    stochastic = seeds > 1
    run_ids = {str(s) if stochastic else "none": f"{hash_of(name, s)}" for s in range(seeds)}
    return Standing(name, kind, metrics, {"accuracy": std} if std else {}, slices, cost, 0.0, run_ids, MACHINE)


def hash_of(name: str, seed: int) -> str:
    return f"{sum(ord(mark) * 131**i for i, mark in enumerate(name)) + seed:032x}"[-32:]


def comparison(candidate: str, baseline: str, *, half: float = 0.071, **changes: object) -> Comparison:
    ours, theirs = RUNGS[candidate][1], RUNGS[baseline][1]
    delta = ours - theirs
    row = judged.comparison(
        candidate=candidate,
        baseline=baseline,
        estimand="recipe",
        n=N,
        n_clusters=N,
        n_seeds_candidate=RUNGS[candidate][6],
        n_seeds_baseline=RUNGS[baseline][6],
        candidate_mean=ours,
        baseline_mean=theirs,
        delta=delta,
        low=delta - half,
        high=delta + half,
        simultaneous_low=delta - 1.22 * half,
        simultaneous_high=delta + 1.22 * half,
        effect_size=delta / 0.62,
        p_value=2.1e-7,
        p_adjusted=8.4e-7,
        gained=92,
        lost=35,
        mde=1.43 * half,
        method="crossed t",
        registered="before",
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def by_slice(candidate: str, baseline: str, **changes: object) -> list[Comparison]:
    rows, wobble = [], (0.041, -0.093, 0.012, -0.034, 0.066)
    for slicing, values in SLICES.items():
        for i, (value, n) in enumerate(values.items()):
            base = comparison(candidate, baseline)
            delta, half = base.delta + wobble[i % 5], 0.071 * math.sqrt(N / n)
            p = 0.003 if delta > half else 0.4
            row = replace(base, slice=slicing, slice_value=value, role="exploratory", n=n, n_clusters=n, delta=delta)
            row = replace(row, low=delta - half, high=delta + half, p_value=p, p_adjusted=min(1.0, 2 * p))
            row = replace(row, simultaneous_low=delta - 1.3 * half, simultaneous_high=delta + 1.3 * half)
            rows.append(replace(row, margin=None, outcome=None, **changes))  # type: ignore[arg-type]
    return rows


def guardrails(candidate: str, baseline: str, **changes: object) -> list[Comparison]:
    rows = [row for row in by_slice(candidate, baseline) if row.slice == "topic"]
    return [replace(row, role="guardrail", margin=-0.03, outcome="pass", **changes) for row in rows]  # type: ignore[arg-type]


def checkpoint(row: Comparison) -> Comparison:
    return replace(
        row, estimand="checkpoint", role="exploratory", margin=None, outcome=None, method="agresti-min",
        n_seeds_candidate=1, n_seeds_baseline=1,
    )  # fmt: skip


FINDINGS = (
    gate_finding(GateCode.MIN_SEEDS, Outcome.PASS, "lora has 3 seeds; at least 3 are required", {"seeds": [0, 1, 2]}),
    gate_finding(GateCode.ERROR_RATE, Outcome.PASS, "error rate 0 is at most 0.01", {"error_rate": 0.0, "limit": 0.01}),
    gate_finding(
        GateCode.LATENCY_P95, Outcome.PASS, "0.127 s is at most 0.5 s", {"latency_p95_s": 0.1274, "limit": 0.5}
    ),
    gate_finding(GateCode.COST_PER_QUERY, Outcome.PASS, "1.71e-06 USD is at most 0.0001 USD", {"cost": 1.71e-6}),
    gate_finding(GateCode.PEAK_MEMORY, Outcome.NOT_APPLICABLE, "the suite sets no budget"),
)


def audit_finding(code: str, outcome: Outcome, reason: str) -> Finding:
    """Make what the check of this code finds, under its own severity and title."""
    check = next(check for check in CHECKS if check.code == code)
    return check.finding(CheckResult(outcome, reason))


AUDIT = (
    audit_finding("MLB101", Outcome.PASS, "trivial baselines: majority"),
    audit_finding("MLB103", Outcome.NOT_APPLICABLE, "not included"),
    audit_finding("MLB302", Outcome.FAIL, "the margin is not above 0 for full over zero_shot"),
    audit_finding("MLB305", Outcome.FAIL, "too few examples"),
)
BREAK_EVEN = (
    BreakEven("lora", "few_shot", 0.00801, 1.71e-6, 5.31e-6, 2226),
    BreakEven("full", "few_shot", 0.00978, 6.1e-6, 5.31e-6, None),
)
CONTEXT = {
    "suite_digest": "3f0c" * 16,
    "matrix_digest": "9ab1" * 16,
    "task_digest": "77e4" * 16,
    "data": {"train": 320, "dev": 120, "test": N},
    "hardware": {"device": "cpu", "cpu": "AMD EPYC 7R13", "cores": 2, "memory_bytes": 8_200_000_000},
    "software": {"python": "3.11.9", "mlbaseline": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
}
REGISTRATION = Registration(Registered.BEFORE, "5a" * 16, 1_767_261_600_000, "9ab1" * 16, 1)
METRICS = {"accuracy": True, "macro_f1": True, "nll_nats": False, "ece": False}


def fronted(assessment: Assessment) -> Assessment:
    """With the fronts that its standings have by their estimates; the share of resamples is made up."""
    metric = next((row.metric for row in assessment.comparisons if row.role == "primary"), "accuracy")
    sign = 1 if assessment.metrics.get(metric, True) else -1
    fronts = []
    for axis in ("usd_per_query", "latency_p95_s", "peak_memory_bytes", "trainable_params"):
        places = {s.baseline: _place(s, axis, metric) for s in assessment.standings}
        known = [name for name, (x, _) in places.items() if x is not None]
        on = pareto_front([sign * places[name][1] for name in known], [places[name][0] for name in known])
        front = {name: bool(one) for name, one in zip(known, on, strict=True)}
        points = [
            FrontPoint(name, x, front[name], 0.97 if front[name] else 0.12)
            if x is not None
            else FrontPoint(name, None, False, None, "not measured")
            for name, (x, _) in places.items()
        ]
        hardware = "AMD EPYC 7R13" if axis in ("latency_p95_s", "peak_memory_bytes") else ""
        fronts.append(Front(axis, metric, hardware, 0, tuple(points)))
    return replace(assessment, fronts=tuple(front for front in fronts if any(p.x is not None for p in front.points)))


def _place(standing: Standing, axis: str, metric: str) -> tuple[float | None, float]:
    x, estimate = getattr(standing.cost, axis), standing.metrics.get(metric)
    known = x is not None and math.isfinite(x) and estimate is not None and math.isfinite(estimate.value)
    return (x, estimate.value) if known and estimate is not None else (None, NAN)


LABELS = ("negative", "neutral", "positive")


def example(
    number: int, change: Change, ours: str, theirs: str, *, target: str = "positive", text: str | None = "a tweet"
) -> ExampleChange:
    """An example whose candidate answers `ours` and whose baseline answers `theirs`."""

    def answer(prediction: str, seeds: int) -> ExampleAnswer:
        score = float(prediction == target)
        shares = {label: 0.8 if label == prediction else 0.1 for label in LABELS}
        return ExampleAnswer(prediction, score, (score, *[1 - score] * (seeds - 1)), shares)

    candidate, baseline = answer(ours, 3), answer(theirs, 1)
    difference = candidate.score - baseline.score
    where = {"topic": "apple" if number % 2 else "cars", "length": "q1"}
    shown = None if text is None else f"{text} {number}"
    return ExampleChange(f"id-{number:04d}", change, difference, target, shown, where, candidate, baseline)


def pair(candidate: str, baseline: str, *examples: ExampleChange) -> ExamplePair:
    counts = {Change.WON: 92, Change.LOST: 35, Change.BOTH_WRONG: 81, Change.BOTH_RIGHT: 92}
    return ExamplePair(candidate, baseline, "accuracy", counts, 17, 0, examples)


def examples() -> ExampleReport:
    """Confusions of three rungs, and two pairs."""
    changes = (
        example(1, Change.WON, "positive", "negative"),
        example(2, Change.WON, "positive", "neutral", text="two\nlines of tweet"),
        example(3, Change.LOST, "neutral", "positive", text=None),
        example(4, Change.BOTH_WRONG, "neutral", "negative"),
    )
    confusions = (
        Confusion("majority", LABELS, ((125, 0, 0, 0), (93, 0, 0, 0), (82, 0, 0, 0))),
        Confusion("zero_shot", LABELS, ((60, 40, 25, 0), (30, 33, 28, 2), (20, 38, 24, 0))),
        Confusion("full", LABELS, ((100, 15, 10, 0), (30, 45, 18, 0), (10, 30, 42, 0))),
    )
    return ExampleReport(confusions, (pair("lora", "zero_shot", *changes), pair("full", "majority", *changes[:1])))


def promote() -> Assessment:
    """LoRA and full fine-tuning clearly beat what was there; full is the winner."""
    primary = [comparison(c, b) for c in ("lora", "full") for b in ("majority", "zero_shot")]
    checkpoints = [checkpoint(comparison("full", b, half=0.078)) for b in ("majority", "zero_shot", "few_shot")]
    nll = [
        comparison(
            "lora", b, metric="nll_nats", delta=d, low=d - 0.09, high=d + 0.09, role="exploratory", margin=None,
            outcome=None, candidate_mean=0.884, baseline_mean=0.884 - d, gained=None, lost=None,
        )
        for b, d in (("zero_shot", -0.428), ("few_shot", -0.290))
    ]  # fmt: skip
    level = comparison(
        "full", "lora", half=0.038, role="exploratory", margin=None, outcome=None, p_value=0.43, p_adjusted=0.43,
        gained=21, lost=17,
    )  # fmt: skip
    slices = [*by_slice("lora", "zero_shot"), *by_slice("full", "zero_shot")]
    found = Assessment(
        suite="tweets",
        level=0.95,
        metrics=METRICS,
        standings=tuple(map(standing, RUNGS)),
        comparisons=(*primary, *guardrails("lora", "zero_shot"), *checkpoints, *nll, level, *slices),
        mismatches=(),
        verdict=Verdict(
            "promote",
            "full beats majority and zero_shot on accuracy with every simultaneous lower bound above the margin of 0, "
            "and keeps every budget.",
            FINDINGS,
            winner="full",
            winner_seed=1,
        ),
        registration=REGISTRATION,
        audit=AUDIT,
        break_even=BREAK_EVEN,
        context=CONTEXT,
        examples=examples(),
    )
    return fronted(found)


def beside_published() -> Assessment:
    """The promotion beside a published score, of which no examples are known, and one by another metric."""
    paper = PublishedScore(
        "paper", "accuracy", 0.71, 2000, None, "https://example.org/p", "2024-05", "5-shot", "r" * 32
    )
    board = PublishedScore("board", "macro_f1", 0.6, None, 0.01, "a leaderboard", None, None, "s" * 32)
    row = UnpairedContrast(
        "lora", "paper", "accuracy", N, 0.607, 0.71, -0.103, -0.162, -0.045, 0.95, 0.0004, "unpaired: on 2000 examples"
    )
    return replace(promote(), published=(paper, board), unpaired=(row,))


def explored() -> Assessment:
    """A promotion with what was explored of slices: a worse one that is confirmed, a gap that grew, and a small one."""
    base, who = promote(), ("lora", "zero_shot", "accuracy")
    cars = SliceDelta(*who, (("topic", "cars"),), 37, 0.41, 0.55, -0.135, -0.262, -0.012, 0.031)
    apple = SliceDelta(*who, (("topic", "apple"),), 31, 0.61, 0.39, 0.226, 0.021, 0.402, 0.018)
    both = SliceDelta(*who, (("topic", "cars"), ("length", "q3")), 22, 0.3, 0.6, -0.31, -0.55, 0.02, 0.08)
    gap = SliceGap(
        *who,
        "topic",
        SliceSpread("apple", "cars", 0.21, 0.04, 0.43),
        SliceSpread("cars", "apple", 0.16, 0, 0.4),
        0.05,
        0.01,
        0.3,
    )
    found = FoundSlice((("topic", "cars"),), 20, -0.2, 37, -0.135, -0.25, -0.02, 0.012, True)
    missed = FoundSlice((("tokens in", "> 31"),), 40, -0.1, 44, 0.01, -0.1, 0.12, 0.71, False)
    searches = (
        SliceSearch(*who, "dev", 73, (found, missed)),
        SliceSearch("full", "majority", "accuracy", "dev", 70, ()),
    )
    small = (SmallSlice("topic", "tennis", 7),)
    report = SliceReport(20, 0.95, small, (cars, apple), (both,), (gap,), searches)
    return replace(base, slices=report)


def hold() -> Assessment:
    """Better on average, but slower than the budget allows and worse on one slice."""
    base = promote()
    bad = {"outcome": "fail", "delta": -0.121, "low": -0.243, "high": 0.001, "p_adjusted": 0.041}
    rows = [
        replace(row, **bad) if row.role == "guardrail" and row.slice_value == "apple" else row  # type: ignore[arg-type]
        for row in base.comparisons
    ]
    figures = {"latency_p95_s": 0.731, "limit": 0.5}
    slow = gate_finding(GateCode.LATENCY_P95, Outcome.FAIL, "0.731 s is more than 0.5 s", figures)
    found = tuple(slow if finding.code == slow.code else finding for finding in FINDINGS)
    reason = "lora loses 0.121 accuracy on topic apple, where at most 0.03 may be lost, and exceeds the latency budget."
    usd = replace(base.standings[5].cost, usd_per_query=4.1e-4, latency_p95_s=1.9, peak_memory_bytes=None)
    endpoint = replace(base.standings[5], baseline="endpoint", kind="external", cost=usd, error_rate=0.0067,
                       metrics={"accuracy": estimate(0.713, 0.051)})  # fmt: skip
    mismatch = Mismatch("engine.precision", "fp32", "bf16", "warn")
    held = replace(
        base,
        standings=(*base.standings, endpoint),
        comparisons=tuple(replace(row, registered="after") for row in rows),
        mismatches=(mismatch,),
        verdict=Verdict("hold", reason, found),
        registration=Registration(Registered.AFTER, "5a" * 16, 1_767_261_600_000, "0c0f" * 16, 4),
        audit=(*AUDIT, audit_finding("MLB401", Outcome.FAIL, "train and test are the same data")),
    )
    return fronted(held)


def inconclusive() -> Assessment:
    """A small gain that this many examples cannot tell from none."""
    row = comparison(
        "lora", "full", half=0.041, delta=0.018, low=-0.023, high=0.059, simultaneous_low=-0.031,
        simultaneous_high=0.067, p_value=0.39, p_adjusted=0.78, outcome="inconclusive", gained=24, lost=19, margin=0.01,
    )  # fmt: skip
    other = comparison("lora", "zero_shot", margin=0.01)
    return replace(
        promote(),
        comparisons=(row, other),
        verdict=Verdict(
            "inconclusive",
            "lora over full on accuracy is +0.018 [−0.023, +0.059]: neither above the margin of 0.01 nor below it.",
            FINDINGS[:3],
            more_examples=1240,
        ),
    )
