"""The package as it is installed: its entry points, in a folder that a child process finds."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.checkout import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def entry_points(group: str) -> dict[str, str]:
    """Name ─▶ object, of a group in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, str] = project["entry-points"][group]
    return found


def write_distribution(folder: Path, *groups: str) -> None:
    """Write what an installation leaves for `importlib.metadata`: the entry points of these groups."""
    info = folder / "mlbaseline_of_the_tests-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlbaseline-of-the-tests\nVersion: 1\n", "utf-8")
    lines = [
        line
        for group in groups
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entry_points(group).items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
