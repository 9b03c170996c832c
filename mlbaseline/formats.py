"""Format numbers and names: rounded to their uncertainty, with a true minus, and never a raw None, NaN or inf."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from numbers import Integral, Real
from typing import Any, TypeGuard

MISSING = "—"
_MINUS = "−"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_DECIMALS = 3
_ITEMS = 12
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_JOINERS = "\u200c\u200d"  # needed by Persian, Indic scripts and emoji, and harmless


def finite(value: float | None) -> TypeGuard[float]:
    """Tell whether there is a number to show: not None, NaN or infinite."""
    return value is not None and math.isfinite(value)


def decimals_for(half_widths: Iterable[float | None]) -> int:
    """Choose decimals that show the median half-width with two significant digits: 0 to 6, and 3 without any."""
    known = [width for width in half_widths if finite(width) and width > 0]
    return max(0, min(6, 1 - math.floor(math.log10(statistics.median(known))))) if known else _DECIMALS


def fixed(value: float | None, decimals: int = _DECIMALS, *, sign: bool = False) -> str:
    """Format as `0.523`, with sign `+0.113` or `−0.042`; zero has no sign, and above ten million: `1.23×10⁹`."""
    if value is None or math.isnan(value):
        return MISSING
    mark = _MINUS if value < 0 else "+" if sign else ""
    if math.isinf(value):
        return f"{mark}∞"
    if abs(value) >= 1e7:
        return mark + _scientific(abs(value), 3)
    text = f"{abs(value):,.{decimals}f}"
    return text if not text.strip("0.,") else mark + text


def interval(low: float | None, high: float | None, decimals: int = _DECIMALS, *, sign: bool = False) -> str:
    """Format as `[0.467, 0.580]`, or a dash where neither bound is known."""
    ends = fixed(low, decimals, sign=sign), fixed(high, decimals, sign=sign)
    return MISSING if ends == (MISSING, MISSING) else f"[{ends[0]}, {ends[1]}]"


def significant(value: float | None, digits: int = 3) -> str:
    """Format as `0.0342`, `12.3`, `1,230`; as `3.40×10⁻⁶` where plain digits would be mostly zeros."""
    if not finite(value) or value == 0:
        return fixed(value, 0)
    mark, size = _MINUS if value < 0 else "", abs(value)
    if not 1e-4 <= size < 1e7:
        return mark + _scientific(size, digits)
    exponent = math.floor(math.log10(float(f"{size:.{digits - 1}e}")))
    return f"{mark}{round(size, digits - 1 - exponent):,.{max(0, digits - 1 - exponent)}f}"


def probability(p: float | None) -> str:
    """Format a p-value as `0.034` or `<0.001`."""
    return "<0.001" if finite(p) and p < 0.001 else fixed(p, 3)


def percent(share: float | None, n: int | None = None) -> str:
    """Format a share as `0%`, `0.33%`, `95%`; with n, what it is a share of, no digit finer than 1 of n."""
    if not finite(share):
        return fixed(share)
    if n and share:
        decimals = min(math.ceil(math.log10(n)) - 2, 2 - math.floor(math.log10(abs(100 * share))))
        return f"{_trimmed(fixed(100 * share, max(0, decimals)))}%"
    return f"{_trimmed(significant(100 * share))}%"


def count(value: int | None) -> str:
    """Format as `38,158`."""
    return MISSING if value is None else fixed(value, 0)


def duration(seconds: float | None) -> str:
    """Format as `3.10 µs`, `142 ms`, `1.24 s`, `3 min 12 s`, `5 h 07 min`."""
    if not finite(seconds) or seconds == 0:
        return MISSING if seconds is None or math.isnan(seconds) else f"{fixed(seconds, 0)} s"
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        if abs(seconds) < 1000 * size * 0.9995:
            return f"{significant(seconds / size)} {unit}"
    if seconds < 99.95:
        return f"{significant(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def moment(milliseconds: int) -> str:
    """Format milliseconds since the epoch as `2026-01-01 10:00 UTC`."""
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, timezone.utc):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return MISSING


def counted(n: int, noun: str) -> str:
    """Format a number of things as `1 row`, `1,200 rows`. noun: in the singular, with a plural in s."""
    return f"{count(n)} {noun}{'' if n == 1 else 's'}"


def memory(size_bytes: float | None) -> str:
    """Format as `540 MB`, `1.84 GB` (powers of 1000)."""
    if not finite(size_bytes):
        return fixed(size_bytes)
    for unit, size in (("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if size_bytes < 999.5 * size:
            return f"{significant(size_bytes / size)} {unit}"
    return f"{significant(size_bytes / 1e12)} TB"


def query_batch(usd_per_query: Iterable[float | None]) -> tuple[int, str]:
    """Choose how many queries to price together so that the largest price has no leading zeros; give their name too."""
    largest = max((price for price in usd_per_query if finite(price)), default=0.0)
    if largest >= 0.01:
        return 1, "query"
    return (1_000, "1,000 queries") if largest >= 1e-5 else (1_000_000, "1M queries")


def price(usd_per_query: float | None, batch: int) -> str:
    """Format the price of a batch of queries in USD, see `query_batch`."""
    return significant(usd_per_query * batch if finite(usd_per_query) else usd_per_query)


def plain(value: Any) -> str:
    """Format any value of a context or of evidence: scalars as text, containers as their first twelve items."""
    if isinstance(value, Mapping):
        return _listed([f"{clean(str(key))} {plain(item)}" for key, item in value.items()])
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return _listed([plain(item) for item in items])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value)).replace("-", _MINUS)
    if isinstance(value, Real):
        return _trimmed(significant(float(value), 4))
    return MISSING if value is None else clean(str(value)) or MISSING


def clean(text: str) -> str:
    """Make one printable line: control, bidirectional and unpaired surrogate characters become `�`."""
    marks = (mark if mark.isprintable() or mark.isspace() or mark in _JOINERS else "�" for mark in text)
    return " ".join("".join(marks).split())


def spreadsheet_text(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula: one that would be starts with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _listed(items: list[str]) -> str:
    more = f", and {len(items) - _ITEMS:,} more" if len(items) > _ITEMS else ""
    return (", ".join(items[:_ITEMS]) + more) or MISSING


def _scientific(size: float, digits: int) -> str:
    mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
    return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def _trimmed(text: str) -> str:
    mantissa, times, power = text.partition("×")
    return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + times + power
