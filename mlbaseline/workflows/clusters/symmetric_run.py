"""Files for Slurm and SkyPilot: the same command on every node, of which `ray symmetric-run` makes a cluster."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mlbaseline.errors import SuiteError
from mlbaseline.workflows.clusters.cluster_job import ClusterJob, to_yaml, written
from mlbaseline.workflows.command_result import CommandResult

_SBATCH = """\
#!/bin/bash
# Made by `mlbaseline cluster-file slurm`. Start it with `sbatch FILE`, in an environment that has mlbaseline[ray] on
# every node. The suite and the cache lie on the file system that the nodes share.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory_gib}G
{gpus}#SBATCH --time={time}

set -euo pipefail
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$head_node:$((20000 + SLURM_JOB_ID % 20000))"  # jobs that share a node do not share a port
export MLBASELINE_CACHE="${{MLBASELINE_CACHE:-$SLURM_SUBMIT_DIR/.mlbaseline-cache}}"

srun {run}
"""
_SKYPILOT = """\
# Made by `mlbaseline cluster-file skypilot`. Start it with `sky launch FILE --secret MLFLOW_TRACKING_TOKEN`, and other
# keys likewise. The folder of the suite is sent to every node.
"""
_SKYPILOT_RUN = """\
address="$(echo "$SKYPILOT_NODE_IPS" | head -n 1):6379"  # SkyPilot's own Ray has port 6380
{run}
"""


def slurm_file(job: ClusterJob, *, time: str = "24:00:00", output: Path | None = None) -> CommandResult:
    """Write a batch script of Slurm that runs the ladder of a suite.

    Args:
        job: Its suite file lies where all nodes see it.
        time: Longest time of the job, as sbatch takes it.
        output: File; None: the text is the output of the command.
    """
    node = job.node
    text = _SBATCH.format(
        name=job.name,
        nodes=job.nodes,
        cpus=node.cpus,
        memory_gib=node.memory_gib,
        gpus=f"#SBATCH --gpus-per-node={node.gpus}\n" if node.gpus else "",
        time=shlex.quote(time),
        run=_symmetric_run(job, job.suite),
    )
    return written(text, output, f"Start it with `sbatch {output}`.")


def skypilot_file(job: ClusterJob, *, accelerator: str | None = None, output: Path | None = None) -> CommandResult:
    """Write a task of SkyPilot that runs the ladder of a suite.

    Args:
        job: The folder of its suite file is sent to the nodes, which have what `job.node` says or more.
        accelerator: Kind of the GPUs, as `sky show-gpus` names it. By default any node with as many CPUs does.
        output: File; None: the text is the output of the command.

    Raises:
        SuiteError: The number or the kind of the GPUs is missing.
    """
    node = job.node
    if (node.gpus > 0) != (accelerator is not None):
        raise SuiteError("--gpus", ["goes with --accelerator: SkyPilot has to know how many GPUs of which kind"])
    resources = {"cpus": f"{node.cpus}+", "memory": f"{node.memory_gib}+"}
    if accelerator is not None:
        resources["accelerators"] = f"{accelerator}:{node.gpus}"
    task: dict[str, Any] = {
        "name": job.name,
        "num_nodes": job.nodes,
        "resources": resources,
        **({} if job.is_packaged else {"workdir": str(Path(job.suite).parent)}),
        "setup": 'pip install "mlbaseline[ray]"\n',
        "run": _SKYPILOT_RUN.format(run=_symmetric_run(job, job.suite if job.is_packaged else Path(job.suite).name)),
    }
    return written(_SKYPILOT + to_yaml(task), output, f"Start it with `sky launch {output}`.")


def _symmetric_run(job: ClusterJob, suite: str) -> str:
    """Write the command of every node: the first one runs the ladder when all of them are there."""
    options = f"--min-nodes {job.nodes} --num-cpus {job.node.cpus} --num-gpus {job.node.gpus}"
    address = '"$address"'
    return f"ray symmetric-run --address {address} {options} -- \\\n  {job.command(suite, address)}"
