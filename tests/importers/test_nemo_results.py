"""Records in the documented form of NeMo Evaluator: answers, rewards, repeats, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlbaseline.errors import DataError
from mlbaseline.importers.nemo_results import find_records, read_records

RECORDS = [
    {"problem_idx": 0, "reward": 1.0, "repeat": 0, "expected_answer": "42", "model_response": "It is 42."},
    {"problem_idx": 0, "reward": 0.0, "repeat": 1, "extracted_answer": "7", "model_response": "It is 7."},
    {"problem_idx": 1, "reward": 0.5, "metadata": {"category": "algebra"}},
]


def write(folder: Path, *records: dict[str, object]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return folder


def test_records_are_answers_with_a_reward(tmp_path: Path) -> None:
    answers = read_records(find_records(write(tmp_path / "run", *RECORDS))).answers
    read = [(one.id, one.text, one.scores["reward"], one.repeat) for one in answers]
    assert read == [("0", "It is 42.", 1.0, 1), ("0", "7", 0.0, 2), ("1", None, 0.5, 1)]


def test_other_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: no record of NeMo Evaluator: .* lacks reward"):
        read_records(write(tmp_path / "a", {"problem_idx": 0}) / "results.jsonl")
    with pytest.raises(DataError, match="numbers in reward and repeat"):
        read_records(write(tmp_path / "a", {"problem_idx": 0, "reward": "good"}) / "results.jsonl")
    write(tmp_path / "b", *RECORDS)
    with pytest.raises(DataError, match=r"name one results\.jsonl; it has: .*a.*b"):
        find_records(tmp_path)
