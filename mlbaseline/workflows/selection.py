"""Which part of a suite is evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline.errors import SuiteError
from mlbaseline.suite import KINDS, Suite


def choose_baselines(suite: Suite, kind: str | None, names: Sequence[str]) -> tuple[str, ...]:
    if kind is not None and kind not in KINDS:
        raise SuiteError("--kind", [f"unknown kind {kind!r}; there are: {', '.join(KINDS)}"])
    unknown = [name for name in names if name not in suite.baselines]
    if unknown:
        raise SuiteError(
            "--baseline", [f"unknown baseline {n!r}; {suite.name} has: {', '.join(suite.baselines)}" for n in unknown]
        )
    chosen = tuple(name for name in suite.of_kind(kind) if not names or name in names)
    if not chosen:
        raise SuiteError(suite.name, [f"no baseline of kind {kind} among {', '.join(names or suite.baselines)}"])
    return chosen


def choose_seeds(suite: Suite, seeds: Sequence[int]) -> tuple[int, ...]:
    unknown = [seed for seed in seeds if seed not in suite.seeds]
    if unknown:
        # Seeds are registered beforehand: an extra one would be a second draw.
        raise SuiteError("--seed", [f"{seed} is not among the suite's seeds {list(suite.seeds)}" for seed in unknown])
    return tuple(seed for seed in suite.seeds if not seeds or seed in seeds)
