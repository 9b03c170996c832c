"""Figures of another machine: whether the reference workload may bring them to ours, and how uncertain that makes them.

The workload has three parts (a matrix product, a copy, a pass through small layers). A model's own work is another
mixture of such parts: the whole workload gives the ratio of its seconds on two machines, and the disagreement of the
parts says how far that may be off, either way (`tests/benchmarks/bench_machines.py` measures it). Where they disagree
by more than `LARGEST_DISAGREEMENT`, a comparison means nothing. With other numbers of threads there is none either:
what a thread more brings depends on the model's size. Nor is there among accelerators of different names: there each
part is so short that launching it takes longer than computing it.

No decision stands on a figure that was brought to another machine: gates hold what a candidate itself measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlbaseline.judge.comparability import MIXED, same_hardware
from mlbaseline.judge.cost.metered import DEVICE, DEVICE_NAME
from mlbaseline.records import UNKNOWN, Standing
from mlbaseline.suite import Suite

USD, SECONDS, LATENCY = "usd_per_query", "compute_s_per_query", "latency_p95_s"
LARGEST_DISAGREEMENT = 2.0
"""Of the ratios of two machines' speeds in the parts of the workload: the largest over the smallest."""
COMPUTE_NOTHING = ("trivial", "human")
_CPU, _THREADS = "cpu", "hardware.threads"


@dataclass(frozen=True)
class Normalisation:
    """What another machine's seconds are multiplied by.

    Attributes:
        refusal: Why they may not be compared; empty where they may.
        ratio: Seconds of the reference workload on our machine over those on the other.
        off: By how much that may be off for a model, either way: a factor of at least 1.
    """

    refusal: str = ""
    ratio: float = math.nan
    off: float = math.nan


def normalisation(ours: Standing, theirs: Standing) -> Normalisation:
    """Say how seconds of one rung are brought to the machine of another, on which it did not run.

    Args:
        ours: A rung on the machine that is compared on.
        theirs: The rung that ran elsewhere, or with other batches.
    """
    here, there = ours.cost.reference_speeds, theirs.cost.reference_speeds
    our_s, their_s = ours.cost.reference_s, theirs.cost.reference_s
    missing = [s.baseline for s in (ours, theirs) if not (s.cost.reference_s and s.cost.reference_speeds)]
    if missing or not our_s or not their_s or here.keys() != there.keys():
        return Normalisation(f"no reference workload was timed beside {' and '.join(missing) or theirs.baseline}")
    if refusal := _other_kind(ours, theirs):
        return Normalisation(refusal)
    ratios = {part: there[part] / here[part] for part in here}
    slow, fast = max(ratios, key=ratios.__getitem__), min(ratios, key=ratios.__getitem__)
    if ratios[slow] > LARGEST_DISAGREEMENT * ratios[fast]:
        return Normalisation(
            f"the machines are too different: × {ratios[fast]:.2g} by the {fast} of the reference workload, × "
            f"{ratios[slow]:.2g} by its {slow}, and at most {LARGEST_DISAGREEMENT:g} times that is compared"
        )
    return Normalisation("", our_s / their_s, ratios[slow] / ratios[fast])


def not_compared(suite: Suite, ours: Standing | None, theirs: Standing, axis: str) -> str:
    """Say why a rung's cost may not be set beside those of a machine; empty where it may.

    Args:
        suite: Its prices tell machines apart, or do not.
        ours: A rung on the machine that is compared on; None where no machine is known.
        theirs: The rung.
        axis: A field of `Cost`.
    """
    if axis == "trainable_params" or (axis == USD and (ours is None or not is_by_time_alone(suite, ours, theirs))):
        return ""
    if ours is not None and not _differs(ours, theirs, axis):
        return ""
    if not host_of(theirs):
        return "unknown hardware"
    if ours is None or axis not in (USD, SECONDS, LATENCY):
        return "other hardware"
    refusal = normalisation(ours, theirs).refusal
    return f"other hardware: {refusal}" if refusal else ""


def is_elsewhere(ours: Standing, theirs: Standing, axis: str) -> bool:
    """Tell whether a rung that is compared on an axis was measured on another machine, so that it is normalised."""
    return theirs.kind not in COMPUTE_NOTHING and _differs(ours, theirs, axis)


def is_by_time_alone(suite: Suite, ours: Standing, theirs: Standing) -> bool:
    """Tell whether a rung's money is its seconds at the very price of our machine.

    Where the suite has a price for each machine, money is what was paid there, and comparable as it is. Where one price
    stands for both, money says no more than seconds do.
    """
    if theirs.kind in COMPUTE_NOTHING or theirs.cost.priced_by != "hardware":
        return False
    prices = [
        suite.cost.hourly_price(s.measured_on.get(DEVICE_NAME, ""), s.measured_on.get(DEVICE, ""))
        for s in (ours, theirs)
    ]
    return prices[0] == prices[1]


def host_of(standing: Standing) -> str:
    """Name the processor that a rung computed on; empty where it is not known."""
    facts = standing.measured_on
    return "" if facts.get(DEVICE, UNKNOWN) == UNKNOWN else facts.get(DEVICE_NAME, facts[DEVICE])


def _differs(ours: Standing, theirs: Standing, axis: str) -> bool:
    """Money is paid for other batches as for any; of the machine's own facts both must agree."""
    found = same_hardware(ours, theirs)
    return any(axis != USD or mismatch.field.startswith("hardware.") for mismatch in found)


def _other_kind(ours: Standing, theirs: Standing) -> str:
    """Say what about machines or batches no workload accounts for; empty without such a thing."""
    here, there = ours.measured_on, theirs.measured_on
    fields = [mismatch.field for mismatch in same_hardware(ours, theirs)]
    if any(MIXED in (here.get(name), there.get(name)) for name in fields):
        return "the seeds of one rung ran on several machines"
    batches = [name for name in fields if not name.startswith("hardware.")]
    if batches:
        return f"they differ in {', '.join(batches)}"
    names = [facts.get(DEVICE, UNKNOWN) for facts in (here, there)]
    if names[0] != names[1] or UNKNOWN in names:
        return f"{names[1]} is not compared with {names[0]}"
    if names[0] != _CPU and here.get(DEVICE_NAME, UNKNOWN) != there.get(DEVICE_NAME):
        return "accelerators of different names are not compared"
    if here.get(_THREADS, UNKNOWN) != there.get(_THREADS):
        return "the numbers of threads differ or are not known"
    return ""
