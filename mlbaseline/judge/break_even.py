"""When does a fine-tune pay for itself against a prompt full of examples, which every query pays for anew?"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlbaseline.records import BreakEven, Cost, Standing
from mlbaseline.suite import Pretrained, Suite, TrainedSpec


def break_evens(suite: Suite, standings: Mapping[str, Standing]) -> tuple[BreakEven, ...]:
    """Every trained rung that was evaluated against every few-shot one."""
    specs = {name: suite.baselines[name] for name in standings if name in suite.baselines}
    trained = [name for name, spec in specs.items() if isinstance(spec, TrainedSpec)]
    prompts = [name for name, spec in specs.items() if isinstance(spec, Pretrained) and spec.shots is not None]
    return tuple(_break_even(standings[tuned], standings[prompt]) for tuned in trained for prompt in prompts)


def _break_even(tuned: Standing, prompt: Standing) -> BreakEven:
    ours, theirs, train_usd = _query_usd(tuned.cost), _query_usd(prompt.cost), tuned.cost.train_usd
    return BreakEven(tuned.baseline, prompt.baseline, train_usd, ours, theirs, _queries(train_usd, ours, theirs))


def _query_usd(cost: Cost) -> float | None:
    """What computing a query costs. A trained rung's `usd_per_query` holds a share of the training as well, so there it
    is the seconds of a query at the price of a second, which the training says.
    """
    if cost.train_s is None:
        return cost.usd_per_query
    return (
        cost.compute_s_per_query * cost.train_usd / cost.train_s
        if cost.train_usd is not None and cost.train_s
        else None
    )


def _queries(train_usd: float | None, ours: float | None, theirs: float | None) -> int | None:
    """Training costs divided by what a query saves, rounded up."""
    known = [value for value in (train_usd, ours, theirs) if value is not None and math.isfinite(value)]
    if len(known) < 3 or known[2] <= known[1]:
        return None
    return math.ceil(known[0] / (known[2] - known[1]))
