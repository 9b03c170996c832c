"""A reference workload, timed beside answers: how fast the machine was just then.

Seconds say as much about the neighbours on a machine as about a model. The same small work, done again and again while
a rung answers, tells the two apart: a cost in units of the reference workload is the same on a busy machine as on a
quiet one, as far as the load slows both alike. The work is what a forward pass consists of: a matrix product, a copy in
memory, and a short pass through layers of fixed weights.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from time import perf_counter
from typing import Protocol

import numpy as np

from mlbaseline.records import Answer

EVERY_S = 0.25
"""Time between two measurements; one takes about ten milliseconds."""
LONGEST_S = 0.05
"""Time beside one query; a longer one has met as many interruptions as the machine has in general."""
_SIZE, _COPY_BYTES, _WIDTH, _ROWS, _LAYERS = 384, 1 << 23, 256, 64, 4


@dataclass(frozen=True)
class ReferenceTiming:
    """One measurement, in seconds: of a matrix product, of a copy, and of a pass through small layers."""

    matmul_s: float
    copy_s: float
    pass_s: float

    @property
    def total_s(self) -> float:
        """Of all three."""
        return self.matmul_s + self.copy_s + self.pass_s


class Workload(Protocol):
    """What is timed."""

    def time(self) -> ReferenceTiming:
        """Do it once."""


class NumpyWorkload:
    """The workload by numpy, for rungs that load no weights."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._a = rng.random((_SIZE, _SIZE), dtype=np.float32)
        self._bytes = np.zeros(_COPY_BYTES, dtype=np.uint8)
        self._x = rng.random((_ROWS, _WIDTH), dtype=np.float32)
        self._layers = [rng.random((_WIDTH, _WIDTH), dtype=np.float32) / _WIDTH for _ in range(_LAYERS)]

    def time(self) -> ReferenceTiming:
        """Do it once."""
        marks = [perf_counter()]
        self._a @ self._a
        marks.append(perf_counter())
        self._bytes.copy()
        marks.append(perf_counter())
        x = self._x
        for weights in self._layers:
            x = np.tanh(x @ weights)
        marks.append(perf_counter())
        return ReferenceTiming(*(after - before for before, after in itertools.pairwise(marks)))


class TorchWorkload:
    """The workload by torch, on the device and with the threads that the rung computes with."""

    def __init__(self, device: str) -> None:
        import torch

        self._torch, self._device = torch, device
        generator = torch.Generator().manual_seed(0)

        def matrix(rows: int, columns: int) -> torch.Tensor:
            return torch.rand(rows, columns, generator=generator).to(device)

        self._a, self._x = matrix(_SIZE, _SIZE), matrix(_ROWS, _WIDTH)
        self._bytes = torch.zeros(_COPY_BYTES, dtype=torch.uint8, device=device)
        self._layers = [matrix(_WIDTH, _WIDTH) / _WIDTH for _ in range(_LAYERS)]

    def time(self) -> ReferenceTiming:
        """Do it once."""
        torch = self._torch
        with torch.inference_mode():
            marks = [self._now()]
            torch.mm(self._a, self._a)
            marks.append(self._now())
            self._bytes.clone()
            marks.append(self._now())
            x = self._x
            for weights in self._layers:
                x = torch.nn.functional.gelu(torch.mm(x, weights))
            marks.append(self._now())
        return ReferenceTiming(*(after - before for before, after in itertools.pairwise(marks)))

    def _now(self) -> float:
        if self._device.startswith("cuda"):
            self._torch.cuda.synchronize(self._device)
        return perf_counter()


def make_workload(device: str) -> Workload:
    """Make the workload for a device, as torch names it; by numpy where there is no torch."""
    return TorchWorkload(device) if find_spec("torch") is not None else NumpyWorkload()


@dataclass
class Reference:
    """The measurements beside the answers of one rung.

    Attributes:
        workload: What is timed.
        timings: All measurements, in order.
    """

    workload: Workload
    timings: list[ReferenceTiming] = field(default_factory=list)

    def measure(self) -> float:
        """Time the workload thrice; seconds of the median, so that one interruption does not count."""
        timings = [self.workload.time() for _ in range(3)]
        self.timings.append(sorted(timings, key=lambda timing: timing.total_s)[1])
        return self.timings[-1].total_s

    def _measure_for(self, seconds: float) -> float:
        """Time the workload again and again for so long, `LONGEST_S` at most; mean seconds of one time."""
        timings = [self.workload.time()]
        while sum(timing.total_s for timing in timings) < min(seconds, LONGEST_S):
            timings.append(self.workload.time())
        self.timings += timings
        return statistics.fmean(timing.total_s for timing in timings)

    def beside(self, answers: Iterator[Answer]) -> Iterator[Answer]:
        """Pass answers on, each with the mean of the measurements before and after it.

        After a query that was timed alone the workload is timed for as long as the query took, so that a neighbour
        interrupts both alike and their quantiles move together. An answer of an earlier session gets none: nobody
        knows how fast the machine was then.
        """
        self.workload.time()  # the first time is slower
        before, measured_at = self.measure(), perf_counter()
        held: list[Answer] = []
        for answer in answers:
            if answer.latency_s is not None:
                yield replace(answer, reference_s=self._measure_for(answer.latency_s))
                continue
            is_next = bool(held) and (answer.batch is None or answer.batch != held[-1].batch)
            if is_next and perf_counter() - measured_at >= EVERY_S:
                after = self.measure()
                yield from _with_reference(held, (before + after) / 2.0)
                before, measured_at, held = after, perf_counter(), []
            held.append(answer)
        yield from _with_reference(held, (before + self.measure()) / 2.0)

    def figures(self) -> dict[tuple[str, ...], float]:
        """Give what is kept of it with the run: rates, the seconds of the workload, and how much they varied."""
        if not self.timings:
            return {}
        totals = [timing.total_s for timing in self.timings]
        median = statistics.median
        return {
            ("reference", "matmul_flops_per_s"): 2.0 * _SIZE**3 / median(t.matmul_s for t in self.timings),
            ("reference", "copy_bytes_per_s"): _COPY_BYTES / median(t.copy_s for t in self.timings),
            ("reference", "pass_s"): median(t.pass_s for t in self.timings),
            ("reference", "total_s"): median(totals),
            ("reference", "log_sd"): statistics.pstdev(map(math.log, totals)),
            ("reference", "count"): float(len(totals)),
        }


def _with_reference(answers: list[Answer], seconds: float) -> Iterator[Answer]:
    for answer in answers:
        now = answer.batch is None or answer.batch >= 0
        yield replace(answer, reference_s=seconds) if now else answer
