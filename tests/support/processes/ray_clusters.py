"""Ray clusters of several nodes on this machine, each with a cache of its own, as on machines of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.ladders.workplace import ENVIRONMENT

_OBJECT_STORE_BYTES = 80 * 2**20


class SmallCluster:
    """Nodes with one CPU each; the first one is the head."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self._folder = folder
        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={**self._node("head"), "include_dashboard": False}
        )

    def _node(self, name: str) -> dict[str, Any]:
        cache = {"MLBASELINE_CACHE": str(self.cache_of(name))}
        return {"num_cpus": 1, "object_store_memory": _OBJECT_STORE_BYTES, "env_vars": cache}

    @property
    def address(self) -> str:
        return self._cluster.address

    def cache_of(self, name: str) -> Path:
        return self._folder / name

    def add_node(self, name: str) -> Any:
        """Start a further node, whose cache is the folder of that name."""
        return self._cluster.add_node(**self._node(name))

    def kill(self, node: Any) -> None:
        """Take a node away, as when its machine fails."""
        self._cluster.remove_node(node, allow_graceful=False)

    def stop(self) -> None:
        self._cluster.shutdown()


@contextmanager
def small_cluster(folder: Path) -> Iterator[SmallCluster]:
    """Start a cluster of one node, for the length of the block."""
    environment = {
        **ENVIRONMENT,
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_worker_niceness": "0",  # by default 15: on a machine that others use, too, it would hardly get on
    }
    with mock.patch.dict(os.environ, environment):
        cluster = SmallCluster(folder)
        try:
            yield cluster
        finally:
            cluster.stop()
