"""The files of requirements/: tested bounds, and locks that agree with pyproject.toml, conda.yaml and each other."""

from __future__ import annotations

import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mlbaseline.errors import WEIGHT_PACKAGES
from requirements.lock import CONDA_PYTHON, dependencies, pins_for
from tests.support.checkout import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def blocks_of(name: str) -> list[str]:
    """Give one text for each pin of a file: the requirement and its hashes."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return re.findall(r"^[A-Za-z]\S*==.*(?:\n\s+--hash.*)*", text, flags=re.MULTILINE)


def declared() -> dict[str, Requirement]:
    return {canonicalize_name(requirement.name): requirement for requirement in dependencies()}


@pytest.mark.parametrize("python", PYTHONS)
def test_locked_versions_are_allowed(python: str) -> None:
    pins = pins_for([*blocks_of("base.txt"), *blocks_of("torch.txt")], python)
    assert {name for name, requirement in declared().items() if pins[name] not in requirement.specifier} == set()


@pytest.mark.parametrize("python", PYTHONS)
def test_what_development_needs_is_locked(python: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = map(Requirement, [*extras["dev"], *extras["docs"]])
    wanted = {
        canonicalize_name(r.name): r for r in asked if not r.marker or r.marker.evaluate({"python_version": python})
    }
    pins = pins_for([*blocks_of("base.txt"), *blocks_of("dev.txt")], python)
    assert wanted.keys() <= pins.keys(), "after a change in pyproject.toml: make locks"
    assert {name for name, requirement in wanted.items() if pins[name] not in requirement.specifier} == set()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_gate_has_the_versions_of_the_rest_and_no_weights(python: str) -> None:
    base, gate = (pins_for(blocks_of(name), python) for name in ("base.txt", "gate.txt"))
    assert gate.items() <= base.items()
    assert {name for name in declared() if name not in gate} == WEIGHT_PACKAGES


@pytest.mark.parametrize("name", ["base.txt", "dev.txt", "gate.txt"])
def test_every_locked_file_has_hashes(name: str) -> None:
    assert [block for block in blocks_of(name) if "--hash=sha256:" not in block] == []
    assert "://" not in (ROOT / "requirements" / name).read_text(encoding="utf-8")


def test_the_lowest_set_is_that_of_the_bounds() -> None:
    """A bound that another package's requirement lifts has never been tested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *extras["inspect"], *extras["lm-eval"], *extras["quantized"]]
    pins = pins_for(blocks_of("lowest.txt"), CONDA_PYTHON)
    for requirement in map(Requirement, texts):
        bound = next(s.version for s in requirement.specifier if s.operator == ">=")
        assert Version(pins[canonicalize_name(requirement.name)]) == Version(bound), requirement.name


def test_every_dependency_has_an_upper_bound() -> None:
    unbounded = [name for name, req in declared().items() if "<" not in {s.operator for s in req.specifier}]
    assert unbounded == []


def test_conda_has_the_locked_versions() -> None:
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    pins = dict(pin.split("==") for pin in next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict)))
    locked = pins_for([*blocks_of("base.txt"), *blocks_of("torch.txt")], CONDA_PYTHON)
    assert {canonicalize_name(name): version for name, version in pins.items()} == {
        name: locked[name] for name in declared()
    }
    assert f"python={CONDA_PYTHON}" in conda["dependencies"]
