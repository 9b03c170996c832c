"""MLB3xx: does what is claimed follow from what was measured?"""

from __future__ import annotations

import math

from mlbaseline.judge.audit.check import AuditInput, Check, CheckResult, does_not_apply, failed, passed
from mlbaseline.judge.contrasts.matrix import sign_of
from mlbaseline.records import Comparison, Cost, Outcome, Severity

DOMINANT = 0.8
"""Share of one label from which accuracy mostly says how often that label occurs."""
_BALANCED = ("macro_f1", "mcc")
_WITHOUT_COST = ("human", "external")
_WITHOUT_MODEL = ("trivial", "human", "external")
EMPTY = 0.5
"""Share of empty answers from which a model counts as one that does not answer."""


def _slices(subject: AuditInput) -> CheckResult:
    if not subject.suite.task.slices:
        return failed("the suite cuts no slices: an average can hide whom the candidate fails")
    looked = {row.candidate for row in subject.comparisons if row.slice is not None}
    missing = [name for name in subject.candidates if name not in looked]
    slices = list(subject.suite.task.slices)
    if missing:
        return failed(f"no slice was compared for {', '.join(missing)}", slices=slices)
    return passed(f"compared on {', '.join(slices)}", slices=slices)


def _practical_margin(subject: AuditInput) -> CheckResult:
    wins = [row for row in subject.deciding if row.outcome is Outcome.PASS]
    if not wins:
        return does_not_apply("no candidate has won a primary contrast")
    idle = [row for row in wins if (row.margin or 0.0) <= 0.0]
    if idle:
        reason = f"any gain counts as a win, however small: the margin is not above 0 for {_named(idle)}"
        return failed(reason, contrasts=_pairs(idle))
    return passed("every win exceeds a margin above 0", contrasts=_pairs(wins))


def _cost_beside_quality(subject: AuditInput) -> CheckResult:
    names = dict.fromkeys((*subject.candidates, *(row.baseline for row in subject.deciding)))
    priced = [name for name in names if subject.standings[name].kind not in _WITHOUT_COST]
    if not priced:
        return does_not_apply("no rung here answers at a cost")
    missing = {name: gaps for name in priced if (gaps := _gaps(subject.standings[name].cost))}
    if missing:
        shown = "; ".join(f"{name} has no {' and no '.join(gaps)}" for name, gaps in missing.items())
        return failed(shown, missing=missing)
    return passed("cost per query and latency stand beside the quality of every contrast", baselines=priced)


def _gaps(cost: Cost) -> list[str]:
    known = {"cost per query": cost.usd_per_query, "latency": cost.latency_p95_s}
    return [what for what, value in known.items() if value is None or not math.isfinite(value)]


def _imbalance(subject: AuditInput) -> CheckResult:
    if "accuracy" not in subject.suite.metrics:
        return does_not_apply("accuracy is not among the metrics")
    shares = subject.tables[0].frame["target"].value_counts(normalize=True)
    label, share = str(shares.index[0]), float(shares.iloc[0])
    beside = [name for name in _BALANCED if name in subject.suite.metrics]
    evidence = {"label": label, "share": share, "beside": beside}
    if share > DOMINANT and not beside:
        return failed(f"{share:.0%} of the targets are {label!r}: add macro_f1 or mcc to the metrics", **evidence)
    also = f"; beside accuracy stands {' and '.join(beside)}" if beside else ""
    return passed(f"{share:.0%} of the targets are {label!r}{also}", **evidence)


def _power(subject: AuditInput) -> CheckResult:
    if not subject.deciding:
        return does_not_apply("no primary contrast was compared")
    weak = [row for row in subject.deciding if not _is_detectable(row)]
    if weak:
        reason = f"too few examples to tell the margin, or the difference observed, from nothing for {_named(weak)}"
        return failed(reason, mde={f"{row.candidate} over {row.baseline}": row.mde for row in weak})
    return passed("the margin, or the difference observed beyond it, is larger than the smallest that can be detected")


def _degenerate(subject: AuditInput) -> CheckResult:
    """Beating a model that answers the same to everything, or nothing, shows no more than beating a trivial rule."""
    names = dict.fromkeys(row.baseline for row in subject.deciding)
    models = [name for name in names if subject.standings[name].kind not in _WITHOUT_MODEL]
    if not models:
        return does_not_apply("no primary contrast is over a model")
    how = {name: what for name in models if (what := _degeneration(subject, name)) is not None}
    if how:
        shown = "; ".join(f"{name} {what}" for name, what in how.items())
        return failed(f"{shown}: beating that proves nothing", baselines=how)
    return passed("the models that candidates are compared with answer differently to different examples")


def _degeneration(subject: AuditInput, name: str) -> str | None:
    """How the answers of a rung's checkpoint are degenerate, None where they are not."""
    frame = subject.ladder.checkpoints[name].evaluation.table.frame
    answered = frame[frame["error"].isna()]
    answers = answered["prediction"].fillna("")
    n, empty = len(answers), int((answers == "").sum())
    if n == 0 or answered["target"].nunique() < 2 or frame["prediction"].isna().all():  # a likelihood has no answer
        return None
    if empty >= EMPTY * n:
        return f"gave an empty answer to {empty:,} of {n:,} examples"
    return f"answered {str(answers.iloc[0])[:40]!r} to all {n:,} examples" if answers.nunique() == 1 else None


def _is_detectable(row: Comparison) -> bool:
    """Whether the design sees a difference as large as the margin, or as the observed distance from it."""
    margin = row.margin or 0.0
    return row.mde <= max(abs(margin), abs(row.delta * sign_of(row.metric) - margin))


def _named(rows: list[Comparison]) -> str:
    return ", ".join(" over ".join(pair) for pair in _pairs(rows))


def _pairs(rows: list[Comparison]) -> list[list[str]]:
    return [[row.candidate, row.baseline] for row in rows]


CHECKS = (
    Check("MLB301", Severity.WARNING, "Slices looked at", _slices),
    Check("MLB302", Severity.INFO, "Gain larger than a practical margin", _practical_margin),
    Check("MLB303", Severity.WARNING, "Cost and latency beside quality", _cost_beside_quality),
    Check("MLB304", Severity.WARNING, "Metric fits the class balance", _imbalance),
    Check("MLB305", Severity.WARNING, "Enough power", _power),
    Check("MLB306", Severity.WARNING, "Baselines that answer", _degenerate),
)
