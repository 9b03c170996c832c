"""What is published: a wheel that runs without the checkout, an sdist that has the rest, and an image of the wheel."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import venv
from fnmatch import fnmatch
from pathlib import Path
from shutil import copy
from zipfile import ZipFile

import pytest

from mlbaseline.version import __version__
from tests.support.checkout import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist, as `make wheel` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    options = (f"DIST={folder}", f"BUILD_VENV={folder.parent / 'build'}", f"PYTHON={sys.executable}")
    made = subprocess.run(["make", "wheel", *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment with the wheel, and with the dependencies that this one has.

    A path to the packages of this environment makes its dependencies importable. An editable mlbaseline in it is not:
    Python reads the files that name such paths in its own folder of packages only.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    commands = folder / "bin"
    (wheel,) = dist.glob("*.whl")
    pip = [commands / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", wheel]
    subprocess.run(pip, check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return commands


def files_of_the_package() -> set[str]:
    """Files of the package in the checkout, apart from what Python itself makes."""
    found = (path.relative_to(ROOT) for path in (ROOT / "mlbaseline").rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def test_the_wheel_has_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    own = {name for name in names if not name.startswith(f"mlbaseline-{__version__}.dist-info/")}
    assert own == files_of_the_package()
    assert {"mlbaseline/suites/tweets.yaml", "mlbaseline/suites/templates/choice.yaml", "mlbaseline/py.typed"} <= own
    assert f"mlbaseline-{__version__}.dist-info/licenses/LICENSE" in names


def test_the_sdist_has_what_tests_and_projects_need(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files_of_the_package() <= names
    for name in ("MLproject", "conda.yaml", "Makefile", "requirements/gate.txt", "docs/index.md", "tests/conftest.py"):
        assert name in names
    assert not [name for name in names if name.startswith((".venv", "site/", "mlruns/")) or name.endswith(".db")]


def test_the_installed_package_runs_from_an_empty_folder(installed: Path, tmp_path: Path, empty_database: Path) -> None:
    copy(empty_database, tmp_path / "mlflow.db")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}

    def run(*words: str) -> str:
        command = [installed / words[0], *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = run("python", "-c", "import mlbaseline; print(mlbaseline.__file__)")
    assert place.startswith(str(installed.parent))
    assert "Exit codes" in run("mlbaseline", "--help")
    assert run("mlbaseline", "--version").strip().endswith(__version__)
    assert "tweets-recorded" in run("mlbaseline", "suites")
    assert "Enough power" in run("mlbaseline", "explain", "MLB305")
    assert "Promote lora, seed 0" in run("mlbaseline", "run", "tweets-recorded")


# ---- the image ------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in pairs]


def test_the_image_is_slim_and_runs_without_rights() -> None:
    made = instructions()
    assert {rest.partition(" ")[0] for name, rest in made if name == "FROM"} == {"python:3.11-slim"}
    last_stage = made[max(position for position, (name, _) in enumerate(made) if name == "FROM") :]
    users = [rest for name, rest in last_stage if name == "USER"]
    assert users == ["mlbaseline"]
    assert any(f"useradd --create-home --uid 10001 {users[0]}" in rest for name, rest in last_stage if name == "RUN")
    assert ("ENTRYPOINT", '["mlbaseline"]') in last_stage


def test_the_image_installs_by_hash_from_no_named_host() -> None:
    installs = [shlex.split(rest) for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    locked, own = installs
    assert {"--no-deps", "--require-hashes", "-r", "/build/gate.txt"} <= set(locked)
    assert {"--no-deps", "/build/mlbaseline-*.whl"} <= set(own)
    assert "://" not in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"index|find-links|trusted-host", " ".join(map(" ".join, installs)))


def test_what_the_image_copies_is_there_and_is_sent(dist: Path) -> None:
    sources = [
        word
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for word in shlex.split(rest)[:-1]
    ]
    assert sources
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    sent = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for source in sources:
        assert source in sent
        built = [f"dist/{path.name}" for path in dist.iterdir()]
        assert (ROOT / source).is_file() or [name for name in built if fnmatch(name, source)], source


@pytest.mark.skipif("MLBASELINE_TEST_IMAGE" not in os.environ, reason="installs 740 MB: make test-image")
def test_the_commands_of_the_image_install_what_runs(dist: Path, tmp_path: Path) -> None:
    """The steps of the first stage, in a folder in place of an image's root."""
    build = tmp_path / "build"
    build.mkdir()
    copy(ROOT / "requirements" / "gate.txt", build)
    for wheel in dist.glob("*.whl"):
        copy(wheel, build)
    made = instructions()
    second = [position for position, (name, _) in enumerate(made) if name == "FROM"][1]
    for command in (rest for name, rest in made[:second] if name == "RUN"):
        moved = command.replace("/opt/mlbaseline", f"{tmp_path}/opt").replace("/build/", f"{build}/")
        subprocess.run(["sh", "-ec", moved], check=True)
    environment = {"PATH": f"{tmp_path}/opt/bin", "HOME": str(tmp_path)}
    shown = subprocess.run(["mlbaseline", "suites"], env=environment, cwd=tmp_path, capture_output=True, check=True)
    assert b"tweets-recorded" in shown.stdout
