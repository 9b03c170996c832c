"""How the questions changed. It explains a rise of the loss, and is never a reason for an alarm by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlbaseline.monitor.cohorts import OVERALL, WatchedSlice
from mlbaseline.monitor.drift.reference import RecordedReference
from mlbaseline.monitor.event_arrays import EventArrays, Floats


@dataclass(frozen=True)
class MixShift:
    """How the mix of a slice changed.

    Attributes:
        slice: The slice.
        distance: Total variation distance of the two mixes, from 0 to 1.
        value: The value whose share changed most.
        share: Its share in live traffic.
        reference_share: Its share in the reference's evaluation.
        explained_loss: Change of the mean loss that the mix alone would bring, at the reference's losses.
        unknown: Values of live traffic that the reference's evaluation does not have.
    """

    slice: str
    distance: float
    value: str
    share: float
    reference_share: float
    explained_loss: float
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class InputShift:
    """What changed about the inputs of some time.

    Attributes:
        days: Days that are looked at, the newest ones.
        requests: Their requests.
        mixes: One for each watched slice.
        tokens_in: Median length of a prompt in tokens; NaN where unknown.
        reference_tokens_in: The same in the reference's evaluation.
        length_distance: Kolmogorov–Smirnov distance of the two distributions of lengths; NaN where one is unknown.
    """

    days: int
    requests: int
    mixes: tuple[MixShift, ...]
    tokens_in: float
    reference_tokens_in: float
    length_distance: float


def input_shift(events: EventArrays, reference: RecordedReference, *, days: int) -> InputShift:
    """Compare the inputs of some events with those of the reference's evaluation.

    Args:
        events: Events of the newest days.
        reference: What was recorded.
        days: Number of days that they span.

    Returns:
        The change of each slice's mix, and of the lengths.
    """
    lengths = np.sort(events.tokens_in[np.isfinite(events.tokens_in)])
    recorded = reference.tokens_in
    return InputShift(
        days=days,
        requests=len(events),
        mixes=tuple(mix for name in reference.shares if (mix := _mix(events, reference, name)) is not None),
        tokens_in=float(np.median(lengths)) if len(lengths) else math.nan,
        reference_tokens_in=float(np.median(recorded)) if len(recorded) else math.nan,
        length_distance=_distance(lengths, recorded) if len(lengths) and len(recorded) else math.nan,
    )


def _mix(events: EventArrays, reference: RecordedReference, name: str) -> MixShift | None:
    codes, values = events.slice_values(name)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    if not counts.sum():
        return None
    live = {value: float(count / counts.sum()) for value, count in zip(values, counts, strict=True) if count}
    recorded = reference.shares[name]
    change = {value: live.get(value, 0.0) - recorded.get(value, 0.0) for value in sorted({*live, *recorded})}
    most = max(change, key=lambda value: abs(change[value]))
    overall = reference.losses[OVERALL].loss
    known = {value: reference.losses.get(WatchedSlice(name, value)) for value in change}
    explained = sum(change[value] * (loss.loss if loss else overall) for value, loss in known.items())
    return MixShift(
        slice=name,
        distance=sum(map(abs, change.values())) / 2.0,
        value=most,
        share=live.get(most, 0.0),
        reference_share=recorded.get(most, 0.0),
        explained_loss=float(explained),
        unknown=tuple(value for value in live if value not in recorded),
    )


def _distance(one: Floats, other: Floats) -> float:
    at = np.concatenate([one, other])
    shares = [np.searchsorted(side, at, side="right") / len(side) for side in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())
