"""Files that start a Ray cluster and run a ladder on it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import Any

import jsonschema
import pytest
import yaml

from mlbaseline.errors import SuiteError
from mlbaseline.workflows.clusters.cluster_job import ClusterJob, NodeShape
from mlbaseline.workflows.clusters.kuberay import kuberay_file
from mlbaseline.workflows.clusters.symmetric_run import skypilot_file, slurm_file
from tests.support.ladders.cheap_ladder import CheapLadder

SERVER = "http://mlflow:5000"
TEXT, COUNT = {"type": "string"}, {"type": "integer"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def fields(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def lists(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


CONTAINER = fields(
    {"name": TEXT, "image": TEXT, "resources": fields({"requests": TEXTS, "limits": TEXTS})},
    env=lists(fields({"name": TEXT, "value": TEXT})),
    envFrom=lists(fields({"secretRef": fields({"name": TEXT}, optional={"type": "boolean"})})),
    volumeMounts=lists(fields({"name": TEXT, "mountPath": TEXT})),
)
VOLUME = fields({"name": TEXT, "persistentVolumeClaim": fields({"claimName": TEXT})})
POD = fields({"spec": fields({"containers": lists(CONTAINER)}, volumes=lists(VOLUME))})
WORKERS = fields(
    {"groupName": TEXT, "minReplicas": COUNT, "maxReplicas": COUNT, "rayStartParams": TEXTS, "template": POD},
    replicas=COUNT,
)
CLUSTER = fields(
    {"headGroupSpec": fields({"rayStartParams": TEXTS, "template": POD})},
    workerGroupSpecs=lists(WORKERS),
    rayVersion=TEXT,
)
RAY_JOB = fields(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": fields({"name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,45}[a-z0-9])?$"}}),
        "spec": fields(
            {"entrypoint": TEXT, "rayClusterSpec": CLUSTER},
            shutdownAfterJobFinishes={"type": "boolean"},
            ttlSecondsAfterFinished=COUNT,
        ),
    }
)
"""Fields of KubeRay's CRD v1 that a file of ours may have: all that are required there, and some of the others."""
SKYPILOT = fields(
    {"run": TEXT},
    name=TEXT,
    num_nodes=COUNT,
    resources=fields({}, cpus=TEXT, memory=TEXT, accelerators=TEXT),
    workdir=TEXT,
    setup=TEXT,
)


def is_shell(script: str) -> None:
    """Let bash read a script without running it."""
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_kubernetes_gets_a_ray_job(cheap_ladder: CheapLadder) -> None:
    document = cheap_ladder.document(
        *("cluster-file", "kuberay", str(cheap_ladder.suite), "--image", "registry/mlbaseline:1", "--claim", "suites"),
        *("--tracking-uri", SERVER, "--nodes", "3", "--gpus", "2", "-o", "job.yaml"),
    )
    job = yaml.safe_load((cheap_ladder.folder / "job.yaml").read_text(encoding="utf-8"))
    assert job == yaml.safe_load(document["text"])
    jsonschema.validate(job, RAY_JOB)
    assert job["spec"]["entrypoint"] == f"mlbaseline run /suite/suite.yaml --ray auto --tracking-uri {SERVER}"
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert workers["replicas"] == 3
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    with pytest.raises(SuiteError, match=r"(?s)--claim.*PersistentVolumeClaim"):
        kuberay_file(ClusterJob.of(str(cheap_ladder.suite), tracking_uri=SERVER), image="registry/mlbaseline:1")


def test_slurm_gets_a_batch_script(cheap_ladder: CheapLadder) -> None:
    odd = cheap_ladder.folder / "a suite's.yaml"
    shutil.copy(cheap_ladder.suite, odd)
    script = slurm_file(ClusterJob.of(str(odd), tracking_uri=SERVER, nodes=4, node=NodeShape(gpus=1))).document["text"]
    is_shell(script)
    assert script.startswith("#!/bin/bash\n")
    options = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH --nodes=4", "#SBATCH --ntasks-per-node=1", "#SBATCH --gpus-per-node=1"} <= set(options)
    command = shlex.split(script.partition("\nsrun ")[2].replace("\\\n", ""))
    assert command[command.index("--") + 1 :][:4] == ["mlbaseline", "run", str(odd), "--ray"]


@pytest.mark.parametrize("node", [NodeShape(), NodeShape(gpus=8)])
def test_skypilot_gets_a_task(cheap_ladder: CheapLadder, node: NodeShape) -> None:
    kind = "H100" if node.gpus else None
    job = ClusterJob.of(str(cheap_ladder.suite), tracking_uri=SERVER, node=node)
    task = yaml.safe_load(skypilot_file(job, accelerator=kind).document["text"])
    jsonschema.validate(task, SKYPILOT)
    assert task["workdir"] == str(cheap_ladder.folder)
    assert task["resources"].get("accelerators") == ("H100:8" if node.gpus else None)
    is_shell(task["setup"])
    is_shell(task["run"])
    with pytest.raises(SuiteError, match="--gpus"):
        skypilot_file(ClusterJob.of("tweets", tracking_uri=SERVER, node=node), accelerator=None if kind else "H100")


def test_a_server_of_this_machine_alone_is_refused(cheap_ladder: CheapLadder) -> None:
    refused = cheap_ladder.command("cluster-file", "slurm", str(cheap_ladder.suite), expect=2)
    assert "--tracking-uri is needed" in refused.stderr
