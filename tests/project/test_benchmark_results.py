"""Results of benchmarks are kept by commit, with what they were measured on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.json_results import write_results


@dataclass(frozen=True)
class Row:
    what: str
    ours_s: float


def test_a_run_is_one_file_under_its_commit(tmp_path: Path) -> None:
    write_results(tmp_path, "stats", [Row("pairs", 0.5), {"what": "slices", "ours_s": 1.5}])
    (path,) = (tmp_path / "stats").iterdir()
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["commit"] == path.stem
    assert document["results"] == [{"what": "pairs", "ours_s": 0.5}, {"what": "slices", "ours_s": 1.5}]
    assert document["machine"]["cores"] >= 1
    assert document["versions"]["numpy"]


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    write_results(None, "stats", [])
    assert list(tmp_path.iterdir()) == []
