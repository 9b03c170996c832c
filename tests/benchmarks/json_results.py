"""Results of a benchmark as one JSON file for each commit, so that they can be compared over time."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from mlbaseline.engine.hardware import available_cores, device_name
from tests.support.checkout import ROOT

PACKAGES = ("mlbaseline", "numpy", "scipy", "torch", "transformers", "mlflow", "lm-eval")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json FOLDER` to a benchmark's options."""
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="also write FOLDER/NAME/COMMIT.json")


def write_results(folder: Path | None, name: str, results: Sequence[object]) -> None:
    """Write results with the commit, machine and versions that they belong to.

    Args:
        folder: Where; None writes nothing. A second run of a commit replaces the first.
        name: Name of the benchmark.
        results: Mappings or dataclasses; names of numbers end with their unit.
    """
    if folder is None:
        return
    commit = _git("rev-parse", "HEAD") or "unknown"
    document = {
        "benchmark": name,
        "commit": commit,
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cpu": device_name("cpu"), "cores": available_cores(), "platform": platform.platform()},
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **dict(_versions())},
        "results": [asdict(r) if is_dataclass(r) and not isinstance(r, type) else r for r in results],
    }
    path = folder / name / f"{commit}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")


def _versions() -> list[tuple[str, str]]:
    found = ((package, next((d.version for d in metadata.distributions(name=package)), "")) for package in PACKAGES)
    return [(package, version) for package, version in found if version]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
