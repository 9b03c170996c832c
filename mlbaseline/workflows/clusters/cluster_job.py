"""What all cluster files say: the command, how many nodes, and what each of them has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlbaseline.suite.reading import load_suite, packaged_suites
from mlbaseline.workflows.command_result import CommandResult

_MAX_NAME = 40
"""KubeRay appends to a name of at most 47 characters, and Kubernetes allows 63."""


@dataclass(frozen=True)
class NodeShape:
    """What each node has.

    Attributes:
        cpus: CPUs.
        memory_gib: Main memory.
        gpus: GPUs.
    """

    cpus: int = 8
    memory_gib: int = 32
    gpus: int = 0


@dataclass(frozen=True)
class ClusterJob:
    """A ladder that is run on a cluster.

    Attributes:
        name: Name of the job: letters, digits and hyphens.
        suite: Path of the suite file where the file is written, or the name of a packaged suite.
        tracking_uri: The tracking server that all nodes reach.
        nodes: Number of nodes.
        node: What each of them has.
    """

    name: str
    suite: str
    tracking_uri: str
    nodes: int
    node: NodeShape

    @classmethod
    def of(cls, suite: str, *, tracking_uri: str, nodes: int = 2, node: NodeShape | None = None) -> ClusterJob:
        """Describe the job that runs a suite.

        Args:
            suite: Path of a suite file, or the name of a packaged suite.
            tracking_uri: The tracking server that all nodes reach.
            nodes: Number of nodes.
            node: What each of them has; None: what `NodeShape()` says.

        Raises:
            SuiteError: The suite is not valid: it is better told of here than by the cluster.
        """
        loaded = load_suite(suite)
        name = re.sub(r"[^a-z0-9]+", "-", f"mlbaseline-{loaded.name}".lower())[:_MAX_NAME].strip("-")
        is_packaged = suite in packaged_suites() and not Path(suite).is_file()
        path = suite if is_packaged else str(Path(suite).absolute())
        return cls(name, path, tracking_uri, nodes, node or NodeShape())

    @property
    def is_packaged(self) -> bool:
        """Whether the suite comes with the package, so that every node has it."""
        return self.suite in packaged_suites()

    def command(self, suite: str, ray: str) -> str:
        """Write the command that runs the ladder, for a shell.

        Args:
            suite: Where the nodes have the suite.
            ray: Address of the cluster as the shell reads it, quotes included.
        """
        return f"mlbaseline run {shlex.quote(suite)} --ray {ray} --tracking-uri {shlex.quote(self.tracking_uri)}"


class _Dumper(yaml.SafeDumper):
    """Writes scripts as blocks, so that they can be read."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def to_yaml(content: Mapping[str, Any]) -> str:
    """Write a mapping as YAML, in its order."""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False)


def written(text: str, output: Path | None, how: str) -> CommandResult:
    """Write a file, or show it where no path is given.

    Args:
        text: Of the file.
        output: Where; None: it is what the command prints.
        how: How it is used, shown after it was written.
    """
    if output is not None:
        output.write_text(text, encoding="utf-8")
    shown = text if output is None else f"{output} is written. {how}"
    return CommandResult({"file": None if output is None else str(output), "text": text}, lambda *_: shown)
