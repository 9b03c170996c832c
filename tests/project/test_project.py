"""What the files around the package promise: environments that agree, entry points that exist."""

from __future__ import annotations

import re

import yaml

from mlbaseline.cli import cli
from mlbaseline.suite import KINDS
from tests.support.checkout import ROOT


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


def test_the_lane_of_vllm_runs_every_file_that_needs_it() -> None:
    marker = "pytest.mark." + "vllm"
    files = (ROOT / "tests").rglob("test_*.py")
    needing = {str(path.relative_to(ROOT)) for path in files if marker in path.read_text(encoding="utf-8")}
    listed = re.search(r"VLLM_TESTS := ((?:.*\\\n)*.*)\n", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert listed
    assert needing == set(listed.group(1).replace("\\", "").split())
