"""A RayJob of KubeRay: Kubernetes starts the cluster, runs the ladder, and takes the cluster away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlbaseline.errors import SuiteError
from mlbaseline.workflows.clusters.cluster_job import ClusterJob, NodeShape, to_yaml, written
from mlbaseline.workflows.command_result import CommandResult

RAY_VERSION = "2.60.0"
"""The version that the tests run. The image has to have the same."""
_FOLDER = "/suite"
_HEAD = NodeShape(cpus=2, memory_gib=8)
_HEADER = """\
# Made by `mlbaseline cluster-file kuberay`. Start it with `kubectl apply -f FILE`, follow it with
# `kubectl logs -f job/{name}`. The image needs mlbaseline[ray]; keys of the tracking server and of models come from
# the secret `mlbaseline`, where there is one. The job also counts as failed where the verdict is not to promote: its
# exit code says which.
"""


def kuberay_file(job: ClusterJob, *, image: str, claim: str | None = None, output: Path | None = None) -> CommandResult:
    """Write a RayJob that runs the ladder of a suite.

    Args:
        job: Its nodes are the worker pods.
        image: Container image with mlbaseline and ray.
        claim: PersistentVolumeClaim with the suite file and what it names, which all pods mount (ReadWriteMany). It
            holds the cache, too. Only a packaged suite goes without.
        output: File; None: the text is the output of the command.

    Raises:
        SuiteError: No claim holds the suite.
    """
    if claim is None and not job.is_packaged:
        raise SuiteError(
            "--claim", [f"pods have no {job.suite}: name a PersistentVolumeClaim that holds it and all that it names"]
        )
    text = _HEADER.format(name=job.name) + to_yaml(_manifest(job, image, claim))
    return written(text, output, f"Start it with `kubectl apply -f {output}`.")


def _manifest(job: ClusterJob, image: str, claim: str | None) -> dict[str, Any]:
    suite = job.suite if job.is_packaged else f"{_FOLDER}/{Path(job.suite).name}"
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": job.name},
        "spec": {
            "entrypoint": job.command(suite, "auto"),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "rayClusterSpec": {
                "rayVersion": RAY_VERSION,
                "headGroupSpec": {
                    # No model on the head: it must outlive all others.
                    "rayStartParams": {"num-cpus": "0", "num-gpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104
                    "template": _pod("ray-head", _HEAD, image, claim),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "models",
                        "replicas": job.nodes,
                        "minReplicas": job.nodes,
                        "maxReplicas": job.nodes,
                        "rayStartParams": {},
                        "template": _pod("ray-worker", job.node, image, claim),
                    }
                ],
            },
        },
    }


def _pod(name: str, node: NodeShape, image: str, claim: str | None) -> dict[str, Any]:
    has = {"cpu": str(node.cpus), "memory": f"{node.memory_gib}Gi"}
    if node.gpus:
        has["nvidia.com/gpu"] = str(node.gpus)
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "resources": {"requests": dict(has), "limits": has},
        "envFrom": [{"secretRef": {"name": "mlbaseline", "optional": True}}],
    }
    if claim is None:
        return {"spec": {"containers": [container]}}
    container["env"] = [{"name": "MLBASELINE_CACHE", "value": f"{_FOLDER}/.mlbaseline-cache"}]
    container["volumeMounts"] = [{"name": "suite", "mountPath": _FOLDER}]
    volume = {"name": "suite", "persistentVolumeClaim": {"claimName": claim}}
    return {"spec": {"containers": [container], "volumes": [volume]}}
