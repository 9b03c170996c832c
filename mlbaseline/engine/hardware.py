"""Machine and software of a run, its peak memory, and pinned seeds."""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from mlbaseline.engine.generation.vllm_package import vllm_requirement
from mlbaseline.records import Scalar

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "numpy", "mlflow", "mlbaseline")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def describe_hardware(device: str) -> dict[str, Scalar]:
    """Return the `hardware.*` and `software.*` parameters of a run. device: as torch names it."""
    facts: dict[str, Scalar] = {
        "hardware.device": device.split(":", maxsplit=1)[0],
        "hardware.device_name": device_name(device),
        "hardware.cpu": _cpu_name(),
        "hardware.cores": available_cores(),
        "hardware.memory_bytes": psutil.virtual_memory().total,
        "software.platform": platform.platform(),
        "software.python": platform.python_version(),
    }
    if "torch" in sys.modules or device.startswith("cuda"):  # what loads no weights does not wait for its import
        import torch

        facts["hardware.threads"] = torch.get_num_threads()
        if device.startswith("cuda"):
            facts["hardware.device_memory_bytes"] = torch.cuda.get_device_properties(device).total_memory
    return {**facts, **_software_versions()}


@cache
def _software_versions() -> dict[str, Scalar]:
    versions: dict[str, Scalar] = {}
    for package in _PACKAGES:
        try:
            versions[f"software.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a source tree
            continue
    if vllm := vllm_requirement():
        versions["software.vllm"] = vllm[1]
    return versions


def device_name(device: str) -> str:
    """Return the full name of the processor, as in price lists: `NVIDIA H100 80GB HBM3`, or the CPU's model."""
    if not device.startswith("cuda"):
        return _cpu_name()
    import torch

    return torch.cuda.get_device_name(device)


def available_cores() -> int:
    """Return how many cores this process may use: in a container, fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@dataclass
class PeakMemory:
    """Most memory held during a block (bytes): of the GPUs together, else of the whole process."""

    bytes: int = 0


@contextmanager
def measure_peak_memory(device: str) -> Iterator[PeakMemory]:
    """Measure the memory of the block, and fill the yielded `PeakMemory` at its end.

    On Linux a process can reset its own high-water mark; elsewhere the mark is that since its start, an upper bound.
    """
    peak = PeakMemory()
    on_gpu = device.startswith("cuda")
    if on_gpu:
        import torch

        for gpu in _gpus(device):
            torch.cuda.reset_peak_memory_stats(gpu)
    else:
        _reset_high_water_mark()
    try:
        yield peak
    finally:
        peak.bytes = sum(map(torch.cuda.max_memory_allocated, _gpus(device))) if on_gpu else _high_water_mark()


def memory_in_use(device: str) -> int:
    """Return the memory (bytes) that this process holds now: of the GPUs together, else its own."""
    if device.startswith("cuda"):
        import torch

        return int(sum(map(torch.cuda.memory_allocated, _gpus(device))))
    return int(psutil.Process().memory_info().rss)


def free_memory(device: str) -> int:
    """Return the memory (bytes) that may still be taken: of the device on a GPU, else of the machine or container."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    limit, used = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    try:
        return min(free, int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no limit, or no such files
        return free


def _gpus(device: str) -> list[str]:
    """List the GPU of a device with a number; all of them for `cuda`, as one model may lie on several."""
    import torch

    return [device] if ":" in device else [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def _reset_high_water_mark() -> None:
    try:
        _CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:  # not Linux, or a container that forbids it
        return


def _high_water_mark() -> int:
    if _STATUS.is_file():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def set_threads(n: int) -> None:
    """Set the number of threads that this process computes with. n: it can change the last bits of a result."""
    import torch

    torch.set_num_threads(n)


def pin_seeds(seed: int) -> None:
    """Seed Python, numpy and torch, and let torch use deterministic algorithms where it has them."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  libraries below draw from the global state
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs a pass over every tensor
    torch.backends.cudnn.benchmark = False
