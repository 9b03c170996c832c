"""MLB204 to MLB206: were times measured alike, on a machine that had time for them?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlbaseline.judge.audit.check import AuditInput, Check, CheckResult, does_not_apply, failed, passed
from mlbaseline.judge.comparability import same_hardware, timed_alike
from mlbaseline.judge.cost.machines import Normalisation, normalisation
from mlbaseline.judge.cost.metered import MeteredEvaluation, timings
from mlbaseline.judge.cost.relative import relative_figures
from mlbaseline.records import Bounds, Severity
from mlbaseline.results import REFERENCE, CompletedEvaluation

BUSY = 1.5
"""Times the machine's own best that the reference workload may take beside a run before its times are not trusted."""
_BEST = 0.1
"""Quantile of a run's measurements that stands for the machine's best: the very quickest may be a fluke."""
APART = 1.2
"""Ratio of two medians of latency up to which runs of the same work agree well enough, whatever their intervals."""
_MEDIAN = {"latency_p50": 0.5}


def _same_machine(subject: AuditInput) -> CheckResult:
    """Of every primary contrast, whether the latencies of its sides may be set side by side as they were measured."""
    pairs = {(row.candidate, row.baseline) for row in subject.deciding}
    timed = [
        (ours, theirs)
        for ours, theirs in sorted(pairs)
        if all(subject.standings[name].cost.latency_p95_s is not None for name in (ours, theirs))
    ]
    if not timed:
        return does_not_apply("no primary contrast has a latency on both sides")
    apart: dict[str, list[str]] = {}
    by: dict[str, Normalisation] = {}
    for names in timed:
        ours, theirs = (subject.standings[name] for name in names)
        if found := same_hardware(ours, theirs):
            apart[" over ".join(names)] = sorted({mismatch.field for mismatch in found})
            by[" over ".join(names)] = normalisation(ours, theirs)
    if apart:
        normalised = {pair: [each.ratio, each.off] for pair, each in by.items() if not each.refusal}
        shown = "; ".join(_apart(pair, fields, by[pair]) for pair, fields in apart.items())
        return failed(shown, fields=apart, normalised=normalised)
    return passed("both sides of every contrast were timed on one machine, in the same batches")


def _apart(pair: str, fields: Sequence[str], by: Normalisation) -> str:
    differ = f"{pair} differ in {', '.join(fields)}"
    if by.refusal:
        return f"latencies are not compared: {differ}, and {by.refusal}"
    return (
        f"{differ}: measured on another machine; normalised by the reference workload (× {by.ratio:.3g}, which may be "
        f"off by a factor of {by.off:.2g} either way)"
    )


def _quiet(subject: AuditInput) -> CheckResult:
    """Of every run, how long the reference workload took beside it, against the best of its machine."""
    beside = {
        name: [found for run in runs if (found := _beside(run)) is not None]
        for name, runs in subject.ladder.rungs.items()
    }
    if not any(beside.values()):
        return does_not_apply("no reference workload was timed beside any rung")
    times: dict[str, float] = {}
    for machine in _machines(subject, [name for name, found in beside.items() if found]):
        runs = [run for name in machine for run in beside[name]]
        best = min(run.best_s for run in runs)
        times |= {run.name: run.usual_s / best for run in runs}
    busy = {name: round(ratio, 2) for name, ratio in times.items() if ratio > BUSY}
    if busy:
        shown = ", ".join(f"{ratio:.1f} times as long beside {name}" for name, ratio in busy.items())
        return failed(
            "the machine was busy, and latency and cost of these runs are not to be trusted: as a multiple of its best "
            f"there, the reference workload took {shown}",
            times=busy,
        )
    return passed(
        f"beside every run the reference workload took at most {max(times.values()):.1f} times its best on the machine",
        times={name: round(ratio, 2) for name, ratio in times.items()},
    )


@dataclass(frozen=True)
class _Beside:
    """Seconds of the reference workload beside a run: mean of its rows, and the best of them."""

    name: str
    usual_s: float
    best_s: float


def _beside(run: CompletedEvaluation) -> _Beside | None:
    frame = run.table.frame
    seconds = frame[REFERENCE].dropna() if REFERENCE in frame else frame.iloc[:0, 0]
    if not len(seconds) or not seconds.min() > 0.0:
        return None
    return _Beside(run.table.name, float(seconds.mean()), float(seconds.quantile(_BEST)))


def _machines(subject: AuditInput, names: Sequence[str]) -> list[list[str]]:
    """Group rungs by machine and batches."""
    groups = timed_alike(subject.standings[name] for name in names)
    return [[standing.baseline for standing in group] for group in groups]


def _repeatable(subject: AuditInput) -> CheckResult:
    """Test A against A: runs that do the same work on one machine must agree on their latency."""
    pairs = list(_same_work(subject))
    if not pairs:
        return does_not_apply("no two runs did the same work on one machine, with queries timed alone")
    level = subject.suite.matrix.level
    apart = {f"{a.table.name} and {b.table.name}": found for a, b in pairs if (found := _disagreement(a, b, level))}
    if apart:
        shown = "; ".join(f"{pair} {text}" for pair, text in apart.items())
        return failed(f"runs that do the same work do not agree on their latency: {shown}", pairs=apart)
    return passed(f"{len(pairs)} pairs of runs that do the same work agree on their latency", pairs=len(pairs))


def _same_work(subject: AuditInput) -> Iterator[tuple[CompletedEvaluation, CompletedEvaluation]]:
    """Find pairs of runs on one machine whose queries that were timed alone are the same work.

    That is: the same queries, with as many tokens read and written in each, by the same weights computed alike. The
    seeds of a trained rung have other weights of the same shapes, which take as long.
    """
    timed = [name for name, standing in subject.standings.items() if standing.cost.n_timed]
    for machine in _machines(subject, timed):
        runs = [(_model(name, run), _work(run), run) for name in machine for run in subject.ladder.rungs.get(name, ())]
        for (our_model, our_work, a), (their_model, their_work, b) in itertools.combinations(runs, 2):
            if our_model == their_model and our_work and our_work == their_work:
                yield a, b


def _model(name: str, run: CompletedEvaluation) -> object:
    """Tell what computes: a rung that was trained, or these weights by this engine."""
    fields = run.table.signature.fields
    if "model.sha256" not in fields or any(field.startswith("training.") for field in fields):
        return name
    return {field: value for field, value in fields.items() if field.startswith(("model.", "engine.", "generation."))}


def _work(run: CompletedEvaluation) -> dict[str, tuple[int, int]]:
    """Tokens of each query that was timed alone; empty where none are known."""
    rows = run.table.frame[run.table.frame["latency_s"].notna()]
    if not (rows["tokens_in"] + rows["tokens_out"]).any():
        return {}
    return dict(zip(rows["example_id"], zip(rows["tokens_in"], rows["tokens_out"], strict=True), strict=True))


def _disagreement(a: CompletedEvaluation, b: CompletedEvaluation, level: float) -> str:
    """Say how far two medians are apart whose intervals do not overlap; empty where they agree."""
    ours, theirs = (timings([MeteredEvaluation.of(run)]).quantiles(_MEDIAN, level)["latency_p50"] for run in (a, b))
    ratio = max(ours.value, theirs.value) / min(ours.value, theirs.value)
    if ratio < APART or _overlap(Bounds(ours.low, ours.high), Bounds(theirs.low, theirs.high)):
        return ""
    relative = [relative_figures([MeteredEvaluation.of(run)], level).get("latency_p50") for run in (a, b)]
    seconds = f"{ours.value:.3g} s against {theirs.value:.3g} s at the median, {ratio:.1f} times"
    if relative[0] is None or relative[1] is None:
        return f"({seconds})"
    if _overlap(relative[0].bounds, relative[1].bounds):
        return f"({seconds}; in units of the reference workload they agree, so compare by those)"
    return f"({seconds}; in units of the reference workload they disagree as well)"


def _overlap(ours: Bounds, theirs: Bounds) -> bool:
    """Tell whether two intervals overlap. An open side reaches anywhere."""
    apart = [
        low is not None and high is not None and low > high
        for low, high in ((ours.low, theirs.high), (theirs.low, ours.high))
    ]
    return not any(apart)


CHECKS = (
    Check("MLB204", Severity.WARNING, "Latency measured alike", _same_machine),
    Check("MLB205", Severity.WARNING, "Machine not busy", _quiet),
    Check("MLB206", Severity.WARNING, "Same work, same latency", _repeatable),
)
