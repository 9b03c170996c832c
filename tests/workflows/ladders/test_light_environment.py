"""Verdicts, reports, lineage and imports without torch, transformers and peft.

`make test-gate` runs this with the environment of requirements/gate.txt. Without it, the Python of the tests stands in,
in which those packages cannot be imported.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from mlbaseline.errors import WEIGHT_PACKAGES
from mlbaseline.signing import SIGNED_BY
from tests.fixtures.earlier_runs import unpack
from tests.support.checkout import ROOT
from tests.support.ladders.suites import reviews_suite
from tests.support.ladders.workplace import write_reviews
from tests.support.processes.forking_python import ForkingPython, forking_python
from tests.support.signing_keys import write_key

HIDE = f"""
import sys
from importlib.machinery import PathFinder

class WithoutWeights(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in {sorted(WEIGHT_PACKAGES)}
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path[:] = [WithoutWeights if finder is PathFinder else finder for finder in sys.meta_path]
"""
EXIT_CODES = {"promote": 0, "hold": 3, "inconclusive": 4}
IMPORTED = reviews_suite(
    """
metrics: [accuracy, macro_f1]
seeds: [0]
baselines:
  majority: {kind: trivial, strategy: majority}
  theirs: {kind: production, recorded: {path: theirs.csv}}
""",
    name="imported",
)


@dataclass(frozen=True)
class LightEnvironment:
    """A folder with a tracking store, and a Python that has no package for weights."""

    folder: Path
    python: ForkingPython

    def command(self, *arguments: str, expect: int = 0) -> CompletedProcess[str]:
        uri = f"sqlite:///{self.folder}/mlflow.db"
        environment = {**os.environ, "COLUMNS": "120", "MLBASELINE_CACHE": str(self.folder / "cache")}
        done = self.python.run([*arguments, "--tracking-uri", uri], self.folder, environment)
        assert done.returncode == expect, f"exit {done.returncode}, expected {expect}\n{done.stdout}\n{done.stderr}"
        return done

    def document(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        document = json.loads(self.command(*arguments, "--json", expect=expect).stdout)
        assert isinstance(document, dict)
        return document


@pytest.fixture(scope="module")
def without_weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A Python that has no package for weights, and its environment."""
    if python := os.environ.get("MLBASELINE_GATE_PYTHON"):
        return python, {**os.environ, "PYTHONPATH": ""}
    hidden = tmp_path_factory.mktemp("hidden")
    (hidden / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    return sys.executable, {**os.environ, "PYTHONPATH": f"{hidden}{os.pathsep}{ROOT}"}


@pytest.fixture(scope="module")
def python(without_weights: tuple[str, dict[str, str]]) -> Iterator[ForkingPython]:
    with forking_python(*without_weights) as python:
        yield python


@pytest.fixture
def light(tmp_path: Path, empty_database: Path, python: ForkingPython) -> LightEnvironment:
    """The stored runs of a whole ladder, in which models were trained and one was promoted."""
    unpack(tmp_path, empty_database)
    return LightEnvironment(tmp_path, python)


def test_it_has_none_of_the_packages(without_weights: tuple[str, dict[str, str]]) -> None:
    python, environment = without_weights
    for package in WEIGHT_PACKAGES:
        command = [python, "-c", f"import {package}"]
        tried = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert f"No module named '{package}'" in tried.stderr


def test_runs_are_compared_judged_reported_and_traced(light: LightEnvironment) -> None:
    comparison = light.document("compare", "reviews.yaml")
    exit_code = EXIT_CODES[comparison["verdict"]]
    verdict = light.document("gate", "reviews.yaml", expect=exit_code)
    assert (verdict["comparison_run_id"], verdict["verdict"]) == (
        comparison["comparison_run_id"],
        comparison["verdict"],
    )
    light.command("gate", "reviews.yaml", "--format", "junit", "-o", "gate.xml", expect=exit_code)
    assert "<testsuite" in (light.folder / "gate.xml").read_text(encoding="utf-8")
    light.command("report", comparison["comparison_run_id"], "--suite", "reviews.yaml", "-o", "report.html")
    assert "<svg" in (light.folder / "report.html").read_text(encoding="utf-8")
    assert light.document("lineage", "reviews-label")["complete"]
    links = light.document("verify", "models:/reviews-label@champion")["links"]
    assert {link["status"] for link in links} == {"ok"}
    folders = light.folder.glob("mlruns/**/served/weights")
    for file in [file for folder in folders for file in folder.glob("*.safetensors")]:
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    verified = light.document("verify", "reviews-label", expect=1)
    assert [link["link"] for link in verified["links"] if link["status"] == "wrong"] == ["files"]


def test_a_verdict_is_signed_and_the_signature_is_checked(light: LightEnvironment) -> None:
    suite, key = light.folder / "reviews.yaml", write_key(light.folder)
    content = yaml.safe_load(suite.read_text(encoding="utf-8"))
    content.setdefault("gates", {})["signed_by"] = ["release.pub"]
    suite.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    light.document("compare", "reviews.yaml")
    assert "is not signed; expected a signature" in light.command("gate", "reviews.yaml", expect=5).stderr
    comparison = light.document("compare", "reviews.yaml", "--sign", str(key))
    light.command("gate", "reviews.yaml", "--verify", expect=EXIT_CODES[comparison["verdict"]])


def test_a_promotion_is_signed_and_the_version_verified_with_the_key_of_the_operator(
    light: LightEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_key(light.folder)
    light.command("rollback", "reviews-label")
    promoted = light.document("promote", "reviews.yaml", "--allow-rolled-back", "--sign", str(key))
    monkeypatch.setenv(SIGNED_BY, "release.pub")
    verified = light.document("verify", "reviews-label")
    (signature,) = (link for link in verified["links"] if link["link"] == "signature")
    assert (verified["version"], signature["status"]) == (promoted["version"], "ok")
    assert light.document("lineage", "reviews-label")["complete"]
    monkeypatch.setenv(SIGNED_BY, "sha256:" + "0" * 64)
    for command in ("verify", "lineage"):
        assert "is signed by another key" in light.command(command, "reviews-label", expect=1).stdout
    monkeypatch.setenv(SIGNED_BY, "release.pub")
    unsigned = light.document("verify", f"models:/reviews-label/{promoted['previous_version']}", expect=1)
    assert [link["link"] for link in unsigned["links"] if link["status"] == "missing"] == ["signature"]


def test_a_table_of_answers_is_imported_and_compared(light: LightEnvironment) -> None:
    write_reviews(light.folder / "reviews.csv")
    (light.folder / "imported.yaml").write_text(IMPORTED, encoding="utf-8")
    light.command("export", "imported.yaml", "-o", "items.csv")
    with (light.folder / "items.csv").open(encoding="utf-8", newline="") as file:
        ids = [row["example_id"] for row in csv.DictReader(file)]
    rows = ["example_id,prediction", *(f"{example_id},good" for example_id in ids)]
    (light.folder / "theirs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (theirs,) = light.document("import", "csv", "theirs.csv", "imported.yaml", "--as", "theirs")["evaluations"]
    assert theirs["baseline"] == "theirs"
    light.command("evaluate", "imported.yaml", "--baseline", "majority")
    light.document("compare", "imported.yaml")


def test_doctor_names_what_is_missing(light: LightEnvironment) -> None:
    checks = {check["name"]: check for check in light.document("doctor")["checks"]}
    assert checks["torch"]["detail"].startswith("not installed")


def test_a_command_that_needs_weights_names_the_package(light: LightEnvironment) -> None:
    done = light.command("evaluate", "reviews.yaml", "--baseline", "full", "--fresh", expect=1)
    assert "pip install mlbaseline" in done.stderr
    assert "Traceback" not in done.stderr
