"""The CI recipes that the documentation shows, run as a CI system runs them: over recorded answers and a real store."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
import yaml

from tests.support.checkout import ROOT
from tests.support.ladders.workplace import ENVIRONMENT
from tests.support.processes.commands import command_on_path

RECIPES = ROOT / "docs" / "how-to" / "ci"
INSTALL = "pip install mlbaseline"
"""The one step that is not run here: `tests/project/test_wheel.py` installs the package into an empty environment."""
QUEUES = ("billing", "technical", "other")
BODIES = {"billing": "a refund of my invoice", "technical": "the app does not start", "other": "where are you"}


@dataclass(frozen=True)
class Runner:
    """A checkout in a CI system. The command `mlbaseline` is on its path, and its tracking store is in SQLite."""

    folder: Path

    def shell(self, script: str, **variables: str) -> int:
        """Run a script as both systems do, in bash that stops at the first command that fails."""
        environment = {
            **os.environ,
            **ENVIRONMENT,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            **variables,
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=self.folder, env=environment, check=False).returncode

    def github(self) -> tuple[int, str]:
        """Run the steps of the GitHub workflow: after a failure only those that ask for it.

        Returns:
            Exit code of the job, and its summary.
        """
        code, summaries = 0, []
        for position, step in enumerate(workflow()["jobs"]["gate"]["steps"]):
            summary = self.folder / f"summary-{position}.md"
            summary.touch()
            is_due = code == 0 or step.get("if") == "${{ !cancelled() }}"
            if is_due and step.get("run", INSTALL) != INSTALL:
                code = self.shell(step["run"], GITHUB_STEP_SUMMARY=str(summary)) or code
            summaries.append(summary.read_text(encoding="utf-8"))
        return code, "".join(summaries)

    def gitlab(self) -> tuple[int, ET.Element]:
        """Run the job of the GitLab pipeline, with what comes after it.

        Returns:
            Exit code of the job, and its JUnit report.
        """
        job = pipeline()["gate"]
        code = self.shell("\n".join(without_install(job["script"])))
        assert self.shell("\n".join(job["after_script"])) == 0
        return code, ET.parse(self.folder / job["artifacts"]["reports"]["junit"]).getroot()


def workflow() -> dict[str, Any]:
    return yaml.safe_load((RECIPES / "github.yml").read_text(encoding="utf-8"))


def pipeline() -> dict[str, Any]:
    return yaml.safe_load((RECIPES / "gitlab.yml").read_text(encoding="utf-8"))


def without_install(script: Sequence[str]) -> list[str]:
    assert script[0] == INSTALL
    return list(script[1:])


def answers(queues: pd.Series, right: float) -> pd.DataFrame:
    """Record the answers of a model that is right for this share of the tickets."""
    wrong = queues.map({"billing": "technical", "technical": "other", "other": "billing"})
    is_right = pd.Series(range(len(queues))) * 7 % 100 < 100 * right
    return pd.DataFrame({"prediction": queues.where(is_right, wrong), "latency_s": 0.1, "cost_usd": 0.0001})


@pytest.fixture
def runner(tmp_path: Path, empty_database: Path) -> Iterator[Runner]:
    """A checkout with the suite of the page, its test and the answers of the model in production."""
    copy(empty_database, tmp_path / "mlflow.db")
    copy(RECIPES / "tickets.yaml", tmp_path)
    queues = pd.Series([QUEUES[number % 3] for number in range(300)])
    tickets = pd.DataFrame({"ticket": range(300), "queue": queues, "body": queues.map(BODIES)})
    tickets["body"] += " " + tickets["ticket"].astype(str)
    tickets.to_csv(tmp_path / "tickets.csv", index=False)
    for name, right in (("in_production", 0.7), ("candidate", 0.9)):
        record(tmp_path / f"{name}.csv", tickets, right)
    (tmp_path / "bin").mkdir()
    with command_on_path(tmp_path / "bin"):
        yield Runner(tmp_path)


def record(path: Path, tickets: pd.DataFrame, right: float) -> None:
    answers(tickets["queue"], right).assign(example_id=tickets["ticket"]).to_csv(path, index=False)


def make_worse(runner: Runner) -> None:
    record(runner.folder / "candidate.csv", pd.read_csv(runner.folder / "tickets.csv"), 0.4)


def test_the_github_workflow_passes_and_holds(runner: Runner) -> None:
    code, summary = runner.github()
    assert code == 0
    assert summary.startswith("# Promote candidate")
    assert (runner.folder / "report.html").is_file()
    (runner.folder / "report.html").unlink()
    make_worse(runner)
    code, summary = runner.github()
    assert code == 3
    assert summary.startswith("# Hold")
    assert re.search(r"\[`superiority`\]\(https://\S+/reference/gates.html#superiority\)", summary)
    assert (runner.folder / "report.html").is_file()


def test_the_gitlab_pipeline_passes_and_holds(runner: Runner) -> None:
    code, report = runner.gitlab()
    assert (code, report.get("failures")) == (0, "0")
    make_worse(runner)
    code, report = runner.gitlab()
    assert code == 3
    failed = report.findall(".//testcase[failure]")
    assert len(failed) == int(str(report.get("failures"))) > 0
    assert "tickets.superiority" in {case.get("classname") for case in failed}
    assert (runner.folder / "report.html").is_file()


def test_recipes_have_the_form_of_their_systems() -> None:
    github, gitlab = workflow(), pipeline()
    assert set(github) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as true
    steps = github["jobs"]["gate"]["steps"]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    assert all(("uses" in step) != ("run" in step) for step in steps)
    assert next(step["run"] for step in steps if "run" in step) == INSTALL
    uploaded = next(step for step in steps if step.get("uses", "").startswith("actions/upload-artifact"))
    assert uploaded["with"]["path"] == "report.html"
    assert set(gitlab["gate"]) == {"image", "script", "after_script", "artifacts"}
    assert gitlab["gate"]["artifacts"]["when"] == "always"


def test_the_page_shows_the_files() -> None:
    text = (RECIPES.parent / "gate-in-ci.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"```\{literalinclude\} ci/(\S+)\n:language: yaml\n```", text))
    assert shown == {path.name for path in RECIPES.iterdir()}
