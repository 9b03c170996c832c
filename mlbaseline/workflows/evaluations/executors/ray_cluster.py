"""The way to a Ray cluster, and what one task takes of it."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import MlbaselineError

if TYPE_CHECKING:
    from ray.actor import ActorHandle

log = logging.getLogger("mlbaseline")
_INSTALL = '--ray: ray is not installed; `pip install "mlbaseline[ray]"` here and on every node'
_ALIVE, _RESOURCES = "Alive", "Resources"
_KNOCK_S = 10.0
_NODES_WITHIN_S = 600


@dataclass(frozen=True)
class Slot:
    """What one model takes of a node.

    Attributes:
        cpus: CPUs.
        gpus: GPUs: one, where the cluster has any.
        memory_bytes: Main memory.
        threads: Threads that it computes with.
    """

    cpus: float
    gpus: int
    memory_bytes: int
    threads: int

    def options(self) -> dict[str, float]:
        """Return the resources of a Ray task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory_bytes}

    def times(self, processes: int) -> Slot:
        """Return what several processes take that train one model: a GPU each; without GPUs they share the CPUs."""
        if not self.gpus:
            return self
        return Slot(processes * self.cpus, processes * self.gpus, processes * self.memory_bytes, self.threads)

    def count_on(self, resources: Mapping[str, float]) -> int:
        """Return how many fit on a node with these resources."""
        by_cpu = resources.get("CPU", 0) / self.cpus
        return int(min(by_cpu, resources.get("GPU", 0) / self.gpus) if self.gpus else by_cpu)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect this process with a cluster for the length of the block; a connection that is there already is used.

    Args:
        address: `auto`, or that of the cluster's head.

    Raises:
        MlbaselineError: ray is not installed, or there is no cluster at that address.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MlbaselineError(_INSTALL) from error
    if ray.is_initialized():
        yield
        return
    try:
        _knock(address)
        # Its own bars and logs would mix with ours; what a task warns of comes back with its outcome.
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise MlbaselineError(
            f"--ray {address}: expected the address of a Ray cluster, such as 10.0.0.1:6379, or auto on one of its "
            f"nodes; it cannot be reached: {reason}\nIs it up? `ray status --address {address}` says so, "
            "`ray start --head` starts one."
        ) from error
    with redirect_stdout(sys.stderr):  # ray 2.60 prints there which nodes it lost, until it is shut down
        try:
            yield
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: ray 2.60 tries such an address for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def live_nodes() -> list[Mapping[str, Any]]:
    """Return the resources of each node that is alive."""
    import ray

    return [node[_RESOURCES] for node in ray.nodes() if node[_ALIVE]]


def _computing_nodes() -> list[Mapping[str, Any]]:
    """Return the nodes with CPUs. Where a cluster has just started there is none for a while."""
    given_up_s, has_told = monotonic() + _NODES_WITHIN_S, False
    while not (nodes := [node for node in live_nodes() if node.get("CPU", 0) >= 1]) and monotonic() < given_up_s:
        if not has_told:
            log.info("Ray: waiting for a node with CPUs")
            has_told = True
        sleep(1)
    return nodes


def this_node() -> str:
    """Return the name of the node that this process runs on, for messages."""
    import ray

    return f"node {ray.util.get_node_ip_address()} ({ray.get_runtime_context().get_node_id()[:8]})"


def start_beside(actor: type) -> ActorHandle[Any]:
    """Start an actor on the node of this process, where it takes no CPU from the models.

    Args:
        actor: Its class, which takes no arguments.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    started: ActorHandle[Any] = ray.remote(actor).options(num_cpus=0, scheduling_strategy=here).remote()
    return started


def choose_slot() -> Slot:
    """Divide the nodes: a GPU each where there are any, else a whole node each, with as many threads as it has CPUs.

    OMP_NUM_THREADS of this process decides the number of threads, as it does without Ray. Where nodes differ, the
    smallest one decides.

    Raises:
        MlbaselineError: No node has a CPU to compute with.
    """
    nodes = _computing_nodes()
    if not nodes:
        raise MlbaselineError(
            f"--ray: no node of the cluster has a CPU, after {_NODES_WITHIN_S} s; start one with "
            "`ray start --address HEAD --num-cpus N`"
        )
    with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
    per_node = [(node, int(node["GPU"])) for node in with_gpu] or [(node, 1) for node in nodes]
    share = min(max(1, int(node["CPU"] // n)) for node, n in per_node)
    threads = int(os.environ.get("OMP_NUM_THREADS") or share)
    slot = Slot(min(threads, share), 1 if with_gpu else 0, 0, threads)
    memory = min(node.get("memory", 0) / max(1, slot.count_on(node)) for node, _ in per_node)
    return Slot(slot.cpus, slot.gpus, int(memory * 0.9), threads)
