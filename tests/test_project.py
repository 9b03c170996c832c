"""What the files around the package promise: environments that agree, entry points that exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from mlbaseline.cli import cli
from mlbaseline.suite import KINDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parent.parent


def test_the_pinned_environment_is_the_declared_one() -> None:
    """conda.yaml pins what pyproject.toml asks for: the same packages, each within its range."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {Requirement(text).name.lower().replace("_", "-"): Requirement(text) for text in project["dependencies"]}
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    pins = dict(pin.split("==") for pin in next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict)))
    pinned = {name.replace("_", "-"): Version(version) for name, version in pins.items()}
    assert pinned.keys() == declared.keys()
    outside = {name: str(version) for name, version in pinned.items() if version not in declared[name].specifier}
    assert not outside


def test_entry_points_call_commands_that_exist() -> None:
    entry_points = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert {"main", *KINDS, "compare", "promote", "report"} <= set(entry_points)
    for name, entry_point in entry_points.items():
        called = re.search(r"python -m mlbaseline (\w+)", entry_point["command"])
        assert called, name
        command = cli.commands[called.group(1)]
        options = {option.name for option in command.params}
        prefix = f"MLBASELINE_{called.group(1).upper()}_"
        variables = re.findall(rf"{prefix}(\w+)=", entry_point["command"])
        assert {variable.lower() for variable in variables} <= options, name
        assert entry_point["parameters"]["suite"]["default"] == "tweets"
