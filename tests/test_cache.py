from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline.cache import folder_in_one_step


def test_a_folder_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with pytest.raises(KeyError), folder_in_one_step(target) as folder:
        (folder / "half").touch()
        raise KeyError
    assert list(target.parent.iterdir()) == []
    with folder_in_one_step(target) as folder:
        (folder / "whole").touch()
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_the_copy_of_a_quicker_process_stays(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with folder_in_one_step(target) as folder:
        (folder / "ours").touch()
        target.mkdir()
        (target / "theirs").touch()
    assert [path.name for path in target.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [target]
