"""Suite files checked before a commit, by the hook that the documentation shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlbaseline import workflows
from tests.support.cheap_ladder import SUITE

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "gate-in-ci.md"


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


def test_the_hook_of_the_page_refuses_a_suite_with_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pre_commit")
    page = PAGE.read_text(encoding="utf-8")
    (config,) = re.findall(r"```yaml\n(repos:\n.*?)```", page, re.DOTALL)
    command = f"{sys.executable} -m mlbaseline schema"
    (tmp_path / ".pre-commit-config.yaml").write_text(config.replace("mlbaseline schema", command), encoding="utf-8")
    (tmp_path / "suites").mkdir()
    suite = tmp_path / "suites" / "reviews.yaml"
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    run("git", "init", "-q")
    for text, code in ((SUITE, 0), (SUITE.replace("majority", "majorty"), 1)):
        suite.write_text(text, encoding="utf-8")
        run("git", "add", ".")
        done = run(sys.executable, "-m", "pre_commit", "run", "--all-files")
        assert (done.returncode, "majorty" in done.stdout) == (code, bool(code)), done.stdout + done.stderr
