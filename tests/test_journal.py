from __future__ import annotations

import errno
import hashlib
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mlbaseline.cache import cache_dir, private_cache_dir
from mlbaseline.journal import Journal


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "answers.journal")


def contents(journal: Journal) -> list[str]:
    return [content for _, content in journal.lines()]


def test_lines_come_back_by_offset_and_in_order(journal: Journal) -> None:
    starts = [journal.add(content) for content in ("one", "zwei ✓")]
    assert contents(journal) == ["one", "zwei ✓"]
    assert [journal.line_at(start) for start in starts] == ["one", "zwei ✓"]


def test_a_torn_line_costs_itself_alone(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    journal.add("one")
    with journal.path.open("ab") as file:
        file.write(b"0123 tor")
    journal.add("two")
    assert contents(journal) == ["one", "two"]
    assert "1 damaged" in caplog.text


def test_a_line_that_was_written_by_hand_does_not_count(journal: Journal) -> None:
    journal.add("honest")
    for checksum in (hashlib.sha256(b"forged").hexdigest(), ""):
        with journal.path.open("a") as file:
            file.write(f"{checksum[:32]} forged\n{checksum[:16]} forged\n")
    assert contents(journal) == ["honest"]


def test_another_key_reads_nothing(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.add("one")
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "other"))
    assert contents(journal) == []


def test_a_full_disk_is_an_error_and_loses_nothing_written_before(journal: Journal) -> None:
    """The system writes what fits and raises nothing: a limit of the file's size stands for the disk."""
    journal.add("x" * 500)
    code = (
        "import resource, signal, sys; from pathlib import Path; from mlbaseline.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (800, 800))\n"
        "try: Journal(Path(sys.argv[1])).add('y' * 500)\n"
        "except OSError as error: sys.exit(error.errno)"
    )
    ended = subprocess.run([sys.executable, "-c", code, journal.path], check=False)
    assert ended.returncode == errno.ENOSPC
    assert contents(journal) == ["x" * 500]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_the_cache_and_its_key_are_private(journal: Journal) -> None:
    journal.add("one")
    assert private_cache_dir() == cache_dir()
    assert stat.S_IMODE(cache_dir().stat().st_mode) == 0o700
    assert stat.S_IMODE((cache_dir() / "key").stat().st_mode) == 0o600
