"""What a ladder will take, rung by rung, as a document and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mlbaseline.engine.pace import NO_TIME, SecondsRange
from mlbaseline.suite import Suite

_CENT = 0.01


@dataclass(frozen=True)
class RungForecast:
    """What one rung will take.

    Attributes:
        baseline: Its name.
        seed: Its seed, None where it has none.
        state: `reused` (a completed run has its signature), `trained` (a finished training is in the cache), `new`, or
            `not timed`.
        train_s: Training, of this seed.
        answer_s: Loading the model and answering the split.
        usd: By the price list; None without a price.
        peak_bytes: Most memory; None where it was not measured.
        note: What the figures leave out, or what would make them smaller.
    """

    baseline: str
    seed: int | None
    state: str
    train_s: SecondsRange = NO_TIME
    answer_s: SecondsRange = NO_TIME
    usd: tuple[float, float] | None = None
    peak_bytes: int | None = None
    note: str = ""

    @property
    def total_s(self) -> SecondsRange:
        """Training and answering."""
        return self.train_s + self.answer_s


def forecast_document(suite: Suite, rungs: Sequence[RungForecast], data_notes: Sequence[str]) -> dict[str, object]:
    """Return the forecast as JSON has it. data_notes: what stood out in the data (`LoadedTask.notes`)."""
    prices = [rung.usd for rung in rungs if rung.usd is not None]
    return {
        "suite": suite.name,
        "rungs": [asdict(rung) for rung in rungs],
        "total_s": asdict(_total(rungs)),
        "usd": [sum(price[end] for price in prices) for end in (0, 1)] if prices else None,
        "peak_bytes": max((rung.peak_bytes for rung in rungs if rung.peak_bytes), default=None),
        "data_notes": list(data_notes),
    }


def _total(rungs: Sequence[RungForecast]) -> SecondsRange:
    return sum((rung.total_s for rung in rungs), start=NO_TIME)


def forecast_text(suite: Suite, rungs: Sequence[RungForecast], data_notes: Sequence[str], width: int) -> str:
    """One line a baseline, then the total, what was left out and the notes. Columns that do not fit are left out."""
    columns = ("baseline", "runs", "time", "training", "memory", "USD")
    lines = [columns, *(_line(name, [rung for rung in rungs if rung.baseline == name]) for name in _names(rungs))]
    prices = [rung.usd for rung in rungs if rung.usd is not None]
    usd = _usd((sum(low for low, _ in prices), sum(high for _, high in prices))) if prices else ""
    peak = max((rung.peak_bytes for rung in rungs if rung.peak_bytes), default=0)
    lines.append(("all", str(len(rungs)), time_text(_total(rungs)), "", _memory(peak), usd))
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    shown = len(columns)
    while shown > 3 and sum(widths[:shown]) + 2 * shown > width:
        shown -= 1
    text = ["  ".join(cell.ljust(w) for cell, w in zip(line[:shown], widths, strict=False)).rstrip() for line in lines]
    notes = [f"{rung.baseline}: {rung.note}" for rung in rungs if rung.note]
    if suite.judged:
        notes.append("judges are not asked: their time and price come on top")
    return "\n".join([*text, *dict.fromkeys(notes), *(f"data: {note}" for note in data_notes)])


def _names(rungs: Sequence[RungForecast]) -> list[str]:
    return list(dict.fromkeys(rung.baseline for rung in rungs))


def _line(name: str, rungs: Sequence[RungForecast]) -> tuple[str, ...]:
    states = [rung.state for rung in rungs]
    runs = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    timed = [rung for rung in rungs if rung.state != "not timed"]
    train = sum((rung.train_s for rung in rungs), start=NO_TIME)
    prices = [rung.usd for rung in rungs if rung.usd is not None]
    peak = max((rung.peak_bytes for rung in rungs if rung.peak_bytes), default=0)
    return (
        name,
        runs,
        time_text(_total(rungs)) if timed else "?",
        time_text(train) if train.high else "",
        _memory(peak),
        _usd((sum(low for low, _ in prices), sum(high for _, high in prices))) if prices else "",
    )


def time_text(seconds: SecondsRange) -> str:
    """Write a range in the unit that suits it.

    Example:
        >>> time_text(SecondsRange(50.0, 80.0)), time_text(SecondsRange(7000.0, 9000.0))
        ('50–80 s', '1.9–2.5 h')
    """
    if seconds.high < 0.5:
        return "0 s"
    units = (("h", 3600.0), ("min", 60.0), ("s", 0.0))
    unit, size = next((unit, size or 1.0) for unit, size in units if seconds.high >= 1.5 * size)
    low, high = (f"{end / size:.1f}" if unit != "s" else f"{end:.0f}" for end in (seconds.low, seconds.high))
    return f"{high} {unit}" if low == high else f"{low}–{high} {unit}"


def _memory(peak_bytes: int) -> str:
    return f"{peak_bytes / 1e9:.1f} GB" if peak_bytes else ""


def _usd(price: tuple[float, float]) -> str:
    if price[1] < _CENT:
        return f"<{_CENT}"
    low, high = (f"{end:.2g}" for end in price)
    return low if low == high else f"{low}–{high}"
