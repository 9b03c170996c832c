"""When does a fine-tune pay for itself against a prompt full of examples, which every query pays for anew?

What a query saves is a difference of two costs with intervals of their own. Its interval recovers their variances from
the limits (MOVER: Zou and Donner 2008, Statistics in Medicine 27:1693), and that of the number of queries is the price
of the training over it. Where both ran on one kind of machine with a reference workload beside them, their seconds are
compared at one speed of that workload. On two machines at one price the prompt's are brought to the fine-tune's machine
(`judge.cost.machines`), or have no price there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlbaseline.judge.comparability import same_hardware
from mlbaseline.judge.cost.machines import USD, is_by_time_alone, is_elsewhere, normalisation
from mlbaseline.records import Bounds, BreakEven, Cost, Standing
from mlbaseline.suite import Pretrained, ProgramSpec, Suite, TrainedSpec

_NO_BOUNDS = Bounds(None, None)


@dataclass(frozen=True)
class _Price:
    """USD a query, training left out, with its interval."""

    value: float | None
    bounds: Bounds = _NO_BOUNDS


def break_evens(suite: Suite, standings: Mapping[str, Standing]) -> tuple[BreakEven, ...]:
    """Every trained rung that was evaluated against every few-shot one."""
    specs = {name: suite.baselines[name] for name in standings if name in suite.baselines}
    trained = [name for name, spec in specs.items() if isinstance(spec, TrainedSpec | ProgramSpec)]
    prompts = [name for name, spec in specs.items() if isinstance(spec, Pretrained) and spec.shots is not None]
    return tuple(_break_even(suite, standings[tuned], standings[prompt]) for tuned in trained for prompt in prompts)


def _break_even(suite: Suite, tuned: Standing, prompt: Standing) -> BreakEven:
    queries, train_usd = suite.cost.queries, tuned.cost.train_usd
    ours, theirs = _query_usd(tuned.cost, queries), _query_usd(prompt.cost, queries)
    with_reference = "compute" in tuned.cost.relative and "compute" in prompt.cost.relative
    elsewhere = is_elsewhere(tuned, prompt, USD) and is_by_time_alone(suite, tuned, prompt)
    beside = with_reference and not same_hardware(tuned, prompt)
    if beside:
        speed = math.sqrt((tuned.cost.reference_s or math.nan) * (prompt.cost.reference_s or math.nan))
        ours, theirs = _at_speed(tuned.cost, ours, speed), _at_speed(prompt.cost, theirs, speed)
    elif elsewhere and (not with_reference or normalisation(tuned, prompt).refusal):
        theirs = _Price(None)
    elif elsewhere:
        beside, speed = True, tuned.cost.reference_s or math.nan
        ours = _at_speed(tuned.cost, ours, speed)
        theirs = _at_speed(prompt.cost, theirs, speed, normalisation(tuned, prompt).off)
    fewest, most = _interval(train_usd, ours, theirs)
    return BreakEven(
        tuned.baseline,
        prompt.baseline,
        train_usd,
        ours.value,
        theirs.value,
        _queries(train_usd, ours.value, theirs.value),
        fewest,
        most,
        beside,
        normalised=beside and elsewhere,
    )


def _query_usd(cost: Cost, queries: int) -> _Price:
    """Price the computing of a query: a trained rung's `usd_per_query` holds a share of the training as well."""
    if cost.usd_per_query is None or (cost.train_s is not None and cost.train_usd is None):
        return _Price(None)
    share, bounds = (cost.train_usd or 0.0) / queries, cost.bounds.get("usd_per_query", _NO_BOUNDS)
    low, high = (None if limit is None else limit - share for limit in (bounds.low, bounds.high))
    return _Price(cost.usd_per_query - share, Bounds(low, high))


def _at_speed(cost: Cost, price: _Price, reference_s: float, off: float = 1.0) -> _Price:
    """Price the seconds that it would take where the reference workload takes ``reference_s``.

    off: by how much the workload may be off, either way, as a factor.
    """
    relative, seconds = cost.relative["compute"], cost.compute_s_per_query
    if price.value is None or cost.priced_by != "hardware" or seconds <= 0.0:
        return price
    usd = price.value / seconds * reference_s
    ends = ((relative.bounds.low, usd / off), (relative.bounds.high, usd * off))
    low, high = (None if limit is None else limit * by for limit, by in ends)
    return _Price(relative.value * usd, Bounds(low, high))


def _queries(train_usd: float | None, ours: float | None, theirs: float | None) -> int | None:
    """Training costs divided by what a query saves, rounded up."""
    known = [value for value in (train_usd, ours, theirs) if value is not None and math.isfinite(value)]
    if len(known) < 3 or known[2] <= known[1]:
        return None
    return math.ceil(known[0] / (known[2] - known[1]))


def _interval(train_usd: float | None, ours: _Price, theirs: _Price) -> tuple[int | None, int | None]:
    """From the most that a query may save to the least."""
    limits = (ours.bounds.low, ours.bounds.high, theirs.bounds.low, theirs.bounds.high)
    if train_usd is None or ours.value is None or theirs.value is None or None in limits:
        return None, None
    our_low, our_high, their_low, their_high = (limit for limit in limits if limit is not None)
    saved = theirs.value - ours.value
    most = saved + math.hypot(their_high - theirs.value, ours.value - our_low)
    least = saved - math.hypot(theirs.value - their_low, our_high - ours.value)

    def pays_after(saving: float) -> int | None:
        return math.ceil(train_usd / saving) if saving > 0.0 and math.isfinite(saving) else None

    return pays_after(most), pays_after(least)
