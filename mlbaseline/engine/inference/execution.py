"""What a model computes at a time, and what it finds: looked up where it is known, else computed by this process, or by
several that take turns.

Which items form a pass is decided before, from all of them: what is found does not depend on who computes it, nor on
how often the work was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mlbaseline.engine.inference.result_cache import PassCache
    from mlbaseline.engine.inference.worker_pool import Crew, Member
    from mlbaseline.models.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one item, or the error in its place.

    values: log-likelihoods (nats), one per query; or texts as lists of tokens, one per sample. compute_s: its share of
    the time that the machine took.
    """

    values: tuple[Any, ...]
    compute_s: float
    error: str | None = None


class Pass(Protocol):
    """Items that are computed together, each with a number. It travels to other processes."""

    @property
    def keys(self) -> Mapping[int, str]:
        """Item ─▶ what names it by all that decides its values beside the model."""
        ...

    def without(self, items: Container[int]) -> Any:
        """The pass for the other items alone; None if there are none."""
        ...


Compute = Callable[[Any], dict[int, Found]]
"""Pass ─▶ what was found for each of its items."""
MakeCompute = Callable[["Checkpoint"], Compute]
"""What each process makes of its own copy of the model; it travels, too."""


def run_passes(
    passes: Iterable[Pass],
    compute: Compute,
    make: MakeCompute,
    *,
    cache: PassCache | None = None,
    crew: Crew | None = None,
    setup_s: float = 0.0,
) -> Iterator[dict[int, Found]]:
    """What is known of each pass and what is computed for the rest of it.

    A pass that is known in part belonged to other data, and only what changed since is computed. compute: made by
    `make` for the model of this process. setup_s: seconds that each item has cost already.
    """
    with crew.assemble(make) if crew else nullcontext(()) as members:
        share = 1 / (1 + len(members)) if crew and crew.shares_processor else 1
        waiting: list[Pass] = []

        def compute_waiting() -> Iterator[dict[int, Found]]:
            for one, found in _compute(waiting, compute, members):
                costed = {item: replace(f, compute_s=f.compute_s * share + setup_s) for item, f in found.items()}
                if cache:
                    cache.put({one.keys[item]: result for item, result in costed.items()})
                yield costed
            waiting.clear()

        for one in passes:
            known = {item: found for item, key in one.keys.items() if (found := cache.get(key))} if cache else {}
            if known:
                yield known
            rest = one.without(known)
            if rest is not None:
                waiting.append(rest)
            if len(waiting) > len(members):
                yield from compute_waiting()
        yield from compute_waiting()


def _compute(
    passes: Sequence[Pass], compute: Compute, members: Sequence[Member]
) -> Iterator[tuple[Pass, dict[int, Found]]]:
    """One pass for each process, this one first."""
    for member, one in zip(members, passes[1:], strict=False):
        member.send(one)
    for index, one in enumerate(passes):
        yield one, members[index - 1].receive() if index else compute(one)
