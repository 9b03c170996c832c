"""Rows of a calibration page are computed once, whatever kills the simulation."""

from __future__ import annotations

from pathlib import Path

from tests.support.calibration_rows import Rows


def test_a_row_is_computed_once(tmp_path: Path) -> None:
    calls = []

    def compute() -> dict[str, float]:
        calls.append(1)
        return {"coverage": 0.95}

    assert Rows("page", tmp_path).get({"n": 50}, compute) == {"coverage": 0.95}
    with (tmp_path / "page.jsonl").open("a") as file:
        file.write('{"setting": {"n": 60}, "fou')  # killed while it wrote
    assert Rows("page", tmp_path).get({"n": 50}, compute) == {"coverage": 0.95}
    assert len(calls) == 1
    assert Rows("page", tmp_path).get({"n": 60}, compute) == {"coverage": 0.95}
    assert len(calls) == 2
