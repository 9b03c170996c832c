"""Commands that write files for clusters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult
    from mlbaseline.workflows.clusters.cluster_job import ClusterJob


@click.group("cluster-file")
def cluster_file() -> None:
    """Write a file that starts a Ray cluster and runs the ladder of a suite on it."""


def _shared(function: Callable[..., CommandResult]) -> Callable[..., CommandResult]:
    """Add the options that all files have."""
    positive = click.IntRange(min=1)
    for option in (
        click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file."),
        click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs of each node."),
        click.option("--memory-gib", type=positive, default=32, show_default=True, help="Memory of each node."),
        click.option("--cpus", type=positive, default=8, show_default=True, help="CPUs of each node."),
        click.option("--nodes", type=positive, default=2, show_default=True, help="Number of nodes."),
        SUITE,
    ):
        function = option(function)
    return function


def _job(suite: str, *, nodes: int, cpus: int, memory_gib: int, gpus: int, tracking_uri: str | None) -> ClusterJob:
    from mlbaseline.workflows.clusters.cluster_job import ClusterJob, NodeShape

    if tracking_uri is None:
        raise click.UsageError("--tracking-uri is needed: the nodes do not have the server of this machine's default.")
    return ClusterJob.of(suite, tracking_uri=tracking_uri, nodes=nodes, node=NodeShape(cpus, memory_gib, gpus))


@command()
@_shared
@click.option("--image", required=True, help="Container image with mlbaseline[ray].")
@click.option("--claim", help="PersistentVolumeClaim (ReadWriteMany) with the suite file and all that it names.")
def kuberay(image: str, claim: str | None, output: Path | None, **job: Any) -> CommandResult:
    """Write a RayJob for Kubernetes with the KubeRay operator."""
    from mlbaseline.workflows.clusters.kuberay import kuberay_file

    return kuberay_file(_job(**job), image=image, claim=claim, output=output)


@command()
@_shared
@click.option("--time", default="24:00:00", show_default=True, help="Longest time of the job.")
def slurm(time: str, output: Path | None, **job: Any) -> CommandResult:
    """Write a batch script for Slurm."""
    from mlbaseline.workflows.clusters.symmetric_run import slurm_file

    return slurm_file(_job(**job), time=time, output=output)


@command()
@_shared
@click.option("--accelerator", metavar="NAME", help="Kind of the GPUs, such as H100.")
def skypilot(accelerator: str | None, output: Path | None, **job: Any) -> CommandResult:
    """Write a task for SkyPilot, which runs on many clouds."""
    from mlbaseline.workflows.clusters.symmetric_run import skypilot_file

    return skypilot_file(_job(**job), accelerator=accelerator, output=output)


for _command in (kuberay, slurm, skypilot):
    cluster_file.add_command(_command)
