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
    return tuple(
        _break_even(standings[tuned], standings[prompt], suite.cost.queries) for tuned in trained for prompt in prompts
    )


def _break_even(tuned: Standing, prompt: Standing, queries: int) -> BreakEven:
    ours, theirs, train_usd = _query_usd(tuned.cost, queries), prompt.cost.usd_per_query, tuned.cost.train_usd
    return BreakEven(tuned.baseline, prompt.baseline, train_usd, ours, theirs, _queries(train_usd, ours, theirs))


def _query_usd(cost: Cost, queries: int) -> float | None:
    """Price the computing of a query: a trained rung's `usd_per_query` holds a share of the training as well."""
    if cost.usd_per_query is None or (cost.train_s is not None and cost.train_usd is None):
        return None
    return cost.usd_per_query - (cost.train_usd or 0.0) / queries


def _queries(train_usd: float | None, ours: float | None, theirs: float | None) -> int | None:
    """Training costs divided by what a query saves, rounded up."""
    known = [value for value in (train_usd, ours, theirs) if value is not None and math.isfinite(value)]
    if len(known) < 3 or known[2] <= known[1]:
        return None
    return math.ceil(known[0] / (known[2] - known[1]))
