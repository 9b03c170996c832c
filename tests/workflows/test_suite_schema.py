"""Suite files checked before a commit, by the hook that the documentation shows and the one that the repository has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copy

import pytest
import yaml

from mlbaseline import workflows
from tests.support.checkout import ROOT
from tests.support.ladders.cheap_ladder import SUITE

RECIPE = ROOT / "docs" / "how-to" / "ci" / "pre-commit-config.yaml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"


def test_suites_are_checked_without_their_data(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(SUITE, encoding="utf-8")
    bad.write_text(SUITE.replace("seeds: [0, 1]", "seeds: [0, 0]") + "colour: red\n", encoding="utf-8")
    passed = workflows.schema([good, "tweets"])
    assert (passed.exit_code, passed.text(False, 80)) == (0, f"{good}: ok\ntweets: ok")
    failed = workflows.schema([good, bad])
    assert failed.exit_code == 1
    problems = {Path(each["suite"]).name: each["problems"] for each in failed.document["suites"]}
    assert problems["good.yaml"] == []
    assert len(problems["bad.yaml"]) >= 2
    assert all(problem in failed.text(False, 80) for problem in problems["bad.yaml"])


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a repository whose path has `mlbaseline`."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "mlbaseline"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m mlbaseline "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    repository = tmp_path / "repository"
    (repository / "suites").mkdir(parents=True)

    def run(*words: str, folder: Path = repository) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)

    run("git", "init", "-q")
    return run


def from_the_repository(folder: Path, git: Callable[..., subprocess.CompletedProcess[str]]) -> str:
    """The configuration that names the repository of mlbaseline, of which pre-commit reads the file of hooks."""
    folder.mkdir()
    copy(HOOKS, folder)
    git("git", "init", "-q", folder=folder)
    git("git", "add", ".", folder=folder)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    git("git", *author, "commit", "-q", "-m", "hooks", folder=folder)
    revision = git("git", "rev-parse", "HEAD", folder=folder).stdout.strip()
    hook = {"repo": str(folder), "rev": revision, "hooks": [{"id": "mlbaseline-suites"}]}
    return yaml.safe_dump({"repos": [hook]})


@pytest.mark.parametrize("source", ["page", "repository"])
def test_the_hook_refuses_a_suite_with_a_mistake(
    tmp_path: Path, git: Callable[..., subprocess.CompletedProcess[str]], source: str
) -> None:
    pytest.importorskip("pre_commit")
    shown = source == "page"
    config = RECIPE.read_text(encoding="utf-8") if shown else from_the_repository(tmp_path / "hooks", git)
    (tmp_path / "repository" / ".pre-commit-config.yaml").write_text(config, encoding="utf-8")
    suite = tmp_path / "repository" / "suites" / "reviews.yaml"
    for text, code in ((SUITE, 0), (SUITE.replace("majority", "majorty"), 1)):
        suite.write_text(text, encoding="utf-8")
        git("git", "add", ".")
        done = git(sys.executable, "-m", "pre_commit", "run", "--all-files")
        assert (done.returncode, "majorty" in done.stdout) == (code, bool(code)), done.stdout + done.stderr
