"""SHA-256 of files and folders: what is checked, and what is remembered."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from mlbaseline.assets import digests, fetch, sha256_of
from mlbaseline.cache import sign
from mlbaseline.errors import AssetError
from mlbaseline.suite import Asset
from tests.support.wheels import CONTENT, SHA256


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
