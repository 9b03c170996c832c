"""Paths, and references that are none of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline.assets import fetch
from mlbaseline.cache import cache_dir
from mlbaseline.errors import AssetError
from mlbaseline.suite import Asset
from tests.support.wheels import CONTENT, SHA256


def test_a_path_is_relative_to_the_root_and_verified(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    fetched = fetch(Asset(source="a.csv", sha256=SHA256), root=tmp_path)
    assert (fetched.path, fetched.sha256) == (tmp_path / "a.csv", SHA256)
    assert fetch(Asset(source=str(tmp_path / "a.csv")), root=Path("/elsewhere")).sha256 == SHA256


def test_a_missing_path_names_where_it_looked_and_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "tweets.csv").write_bytes(b"x")
    with pytest.raises(AssetError, match=r"twets\.csv: no such file or folder \(looked for .*; there is: tweets\.csv"):
        fetch(Asset(source="twets.csv"), root=tmp_path)


def test_the_cache_is_the_platforms_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MLBASELINE_CACHE")
    assert cache_dir().name == "mlbaseline"
    monkeypatch.setenv("MLBASELINE_CACHE", "~/elsewhere")
    assert cache_dir() == Path.home() / "elsewhere"


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
