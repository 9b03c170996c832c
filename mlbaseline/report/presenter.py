"""Presenter: how the numbers of one assessment are shown, the same in every section and renderer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mlbaseline import formats
from mlbaseline.metrics import metric_of
from mlbaseline.records import (
    CHAMPION_ALREADY,
    Assessment,
    Comparison,
    Estimand,
    Estimate,
    Outcome,
    PromotionState,
    Registered,
    Role,
)
from mlbaseline.report.view import Cell, Tone

OUTCOMES: dict[str, tuple[str, Tone]] = {
    Outcome.PASS: ("✓ pass", "better"),
    Outcome.FAIL: ("✕ fail", "worse"),
    Outcome.INCONCLUSIVE: ("? inconclusive", "open"),
    Outcome.NOT_APPLICABLE: ("n/a", ""),
}
READINGS: dict[str, tuple[str, Tone]] = {
    "better": ("▲ better", "better"),
    "worse": ("▼ worse", "worse"),
    "open": ("none shown", ""),
}

_MAX_NAMES = 8
ContrastKey = tuple[str, str, str, str]


@dataclass(frozen=True)
class Presenter:
    """Formats the numbers of one assessment: which metric leads, which way is better, how many decimals.

    promotion: what has become of the winner by now, which decides whether to promote it is a next step.
    """

    assessment: Assessment
    promotion: PromotionState = PromotionState.OPEN

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """All metrics, the leading one first: that of the first primary contrast, or the suite's first."""
        names = list(self.assessment.metrics)
        for standing in self.assessment.standings:
            names += [name for name in standing.metrics if name not in names]
        names += [score.metric for score in self.assessment.published]
        lead = next((row.metric for row in self.assessment.comparisons if row.role == Role.PRIMARY), None)
        return tuple(dict.fromkeys([lead, *names] if lead else names))

    @cached_property
    def overall(self) -> tuple[Comparison, ...]:
        return tuple(row for row in self.assessment.comparisons if row.slice is None)

    @cached_property
    def sliced(self) -> tuple[Comparison, ...]:
        """One row a contrast and slice: of a guardrail and an exploratory row, the guardrail."""
        rows = [row for row in self.assessment.comparisons if row.slice is not None]
        rows.sort(key=lambda row: row.role in (Role.PRIMARY, Role.GUARDRAIL))
        return tuple({(contrast_key(row), row.slice, row.slice_value): row for row in rows}.values())

    @cached_property
    def registered(self) -> tuple[Comparison, ...]:
        """The contrasts that were written down beforehand and decide."""
        return tuple(row for row in self.assessment.comparisons if row.role in (Role.PRIMARY, Role.GUARDRAIL))

    @cached_property
    def deciding(self) -> tuple[Comparison, ...]:
        """The registered rows that the verdict rests on: of a contrast its checkpoint row, or else its recipe row."""
        rows = sorted(self.registered, key=lambda row: row.estimand == Estimand.CHECKPOINT)
        last = {(*contrast_key(row)[:3], row.role, row.slice, row.slice_value): row for row in rows}
        return tuple(row for row in self.registered if row in last.values())

    @property
    def holds_champion(self) -> bool:
        """Whether nothing is promoted because the candidate is the champion already."""
        return self.assessment.verdict.reason.endswith(CHAMPION_ALREADY)

    def likely_outcome(self, candidate: str | None) -> str:
        """Say how more examples would decide what is open about a candidate; nothing where no difference tells."""
        rows = [row for row in self.deciding if (row.candidate, row.outcome) == (candidate, Outcome.INCONCLUSIVE)]
        gains = [self.oriented(row, row.delta) - (row.margin or 0.0) for row in rows]
        if not gains or not all(map(formats.finite, gains)):
            return ""
        return f", as {'passed' if min(gains) > 0 else 'failed'} if the difference stays as it is"

    def registered_when(self, rows: Iterable[Comparison]) -> str:
        """Tell whether these rows are confirmatory, as a clause after `Registered in the suite's matrix`."""
        registration = self.assessment.registration
        started = formats.moment(registration.first_started_ms)
        # mlflow 3.17 has no time of a run that its client does not choose.
        noted = (
            f"; the tracking server noted the first rules at {formats.moment(registration.noted_ms)} by its own"
            if registration.noted_ms is not None
            else ""
        )
        first = f"the first evaluation of the task ({started} by the clock of the machine that ran it{noted})"
        statuses = {row.registered for row in rows}
        if statuses == {Registered.BEFORE}:
            return f"before {first}, so they are confirmatory"
        if Registered.BEFORE in statuses:
            return f"partly before {first}: only those are confirmatory, the others are exploratory"
        return f"only after {first}, so they are exploratory, not confirmatory"

    @cached_property
    def query_batch(self) -> tuple[int, str]:
        """For how many queries prices of rungs are shown, and what that is called: the same in tables and plots."""
        return formats.query_batch(standing.cost.usd_per_query for standing in self.assessment.standings)

    @cached_property
    def level(self) -> str:
        return formats.percent(self.assessment.level)

    @cached_property
    def _level_decimals(self) -> dict[str, int]:
        estimates = [item for standing in self.assessment.standings for item in standing.metrics.items()]
        return {
            metric: formats.decimals_for(_half(e.low, e.high) for name, e in estimates if name == metric)
            for metric in self.metrics
        }

    @cached_property
    def _delta_decimals(self) -> dict[str, int]:
        rows = self.overall or self.sliced
        return {
            metric: formats.decimals_for(_half(row.low, row.high) for row in rows if row.metric == metric)
            for metric in {row.metric for row in rows}
        }

    def detectable(self, row: Comparison) -> str:
        """Write the smallest difference that is likely to be found; `none` where it is larger than any there can be."""
        metric = metric_of(row.metric)
        is_possible = row.mde <= metric.highest - metric.lowest or not formats.finite(row.mde)
        return formats.fixed(row.mde, self.delta_decimals(row)) if is_possible else "none"

    def higher_is_better(self, metric: str) -> bool:
        return self.assessment.metrics.get(metric, True)

    def metric(self, name: str) -> str:
        """Name a metric as `accuracy ↑`: the arrow points to better."""
        return f"{formats.clean(name)} {'↑' if self.higher_is_better(name) else '↓'}"

    def level_decimals(self, metric: str) -> int:
        return self._level_decimals.get(metric, 3)

    def estimate(self, metric: str, estimate: Estimate | None) -> Cell:
        """Show a value over its interval."""
        if estimate is None:
            return Cell(formats.MISSING)
        decimals = _at_least(self.level_decimals(metric), estimate.low, estimate.high)
        bounds = formats.interval(estimate.low, estimate.high, decimals)
        return Cell(formats.fixed(estimate.value, decimals), "" if bounds == formats.MISSING else bounds)

    def delta_decimals(self, row: Comparison) -> int:
        return _at_least(self._delta_decimals.get(row.metric, 3), row.low, row.high)

    def oriented(self, row: Comparison, value: float) -> float:
        """Give `value` the sign that is positive where the candidate is better."""
        return value if self.higher_is_better(row.metric) else -value

    def reading(self, row: Comparison) -> str:
        """Give better or worse where the adjusted p-value (or else the interval) shows a difference, otherwise open."""
        if formats.finite(row.p_adjusted):
            shown = row.p_adjusted <= 1 - row.level + 1e-12
        else:
            shown = row.low > 0 or row.high < 0
        gain = self.oriented(row, row.delta)
        return "open" if not shown or not formats.finite(gain) or gain == 0 else "better" if gain > 0 else "worse"

    def tone(self, row: Comparison) -> Tone:
        """Choose the tone by the outcome where the row decides something, else by what it shows."""
        return _outcome(row.outcome)[1] if row.outcome else READINGS[self.reading(row)][1]

    def delta(self, row: Comparison) -> Cell:
        """Show candidate minus baseline over its pointwise interval."""
        decimals = self.delta_decimals(row)
        level = "" if math.isclose(row.level, self.assessment.level) else f" ({formats.percent(row.level)})"
        bounds = formats.interval(row.low, row.high, decimals, sign=True)
        tone = READINGS[self.reading(row)][1]
        return Cell(formats.fixed(row.delta, decimals, sign=True), bounds + level, tone)

    def delta_text(self, row: Comparison) -> str:
        """Show a delta as `+0.113 [+0.071, +0.155]`."""
        cell = self.delta(row)
        return f"{cell.text} {cell.detail}"

    def deciding_text(self, row: Comparison) -> str:
        """Show a delta with the interval that decides, as the reason of the verdict does."""
        low, high = row.deciding_interval
        return self.delta_text(replace(row, low=low, high=high))

    def threshold(self, row: Comparison) -> float | None:
        """Give the margin on the axis of the delta: what the interval must clear."""
        return None if row.margin is None else self.oriented(row, row.margin)

    def margin(self, row: Comparison) -> str:
        """Show the margin as `Δ > −0.030`, or `Δ < +0.050` where lower is better."""
        threshold = self.threshold(row)
        if not formats.finite(threshold):
            return formats.MISSING
        sign = ">" if self.higher_is_better(row.metric) else "<"
        decimals = max(self._delta_decimals.get(row.metric, 3), 0 if threshold == 0 else _decimals_of(threshold))
        return f"Δ {sign} {formats.fixed(threshold, decimals, sign=True) if threshold else '0'}"

    def required(self, row: Comparison) -> str:
        """Say the margin in words: `more than −0.030`, or `less than +0.050` where lower is better."""
        return self.margin(row).replace("Δ >", "more than").replace("Δ <", "less than")

    def outcome(self, row: Comparison) -> Cell:
        if row.undecided is not None:
            return Cell("? not decided", f"({formats.clean(row.undecided)})", "open")
        text, tone = _outcome(row.outcome) if row.outcome else READINGS[self.reading(row)]
        return Cell(text, tone=tone)


def status_cell(row: Comparison) -> Cell:
    """Show `confirmatory`, or `exploratory` and why."""
    if row.registered == Registered.BEFORE:
        return Cell("confirmatory")
    return Cell(
        "exploratory", "(registered after)" if row.registered == Registered.AFTER else "(not registered)", "open"
    )


def outcome_cell(outcome: str) -> Cell:
    """Show pass, fail, inconclusive or not applicable, by mark and word."""
    text, tone = _outcome(outcome)
    return Cell(text, tone=tone)


def where(row: Comparison) -> str:
    """Name the examples of a row: `overall`, or `topic: airline`."""
    return "overall" if row.slice is None else f"{formats.clean(row.slice)}: {formats.plain(row.slice_value)}"


def contrast_key(row: Comparison) -> ContrastKey:
    """Give what identifies a contrast across its slices."""
    return row.candidate, row.baseline, row.metric, row.estimand


def contrast(row: Comparison) -> str:
    """Name a contrast: `lora over zero_shot`."""
    return f"{formats.clean(row.candidate)} over {formats.clean(row.baseline)}"


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def listed(names: Sequence[str]) -> str:
    """Join names as `a`, `a and b`, `a, b and c`; past eight, add how many more."""
    if len(names) > _MAX_NAMES:
        names = [*names[:_MAX_NAMES], f"{len(names) - _MAX_NAMES} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _outcome(outcome: str) -> tuple[str, Tone]:
    return OUTCOMES.get(outcome, (formats.clean(outcome), "open"))


def _half(low: float, high: float) -> float:
    return (high - low) / 2


def _at_least(decimals: int, low: float, high: float) -> int:
    """Give the column's decimals, or more where this interval would otherwise round to nothing."""
    return max(decimals, formats.decimals_for([_half(low, high)]) - 1 if high > low else 0)


def _decimals_of(value: float) -> int:
    """Count the decimals of a number written by hand, up to six."""
    return len(f"{abs(value):.6f}".rstrip("0").partition(".")[2])
