"""Records of single problems of NVIDIA NeMo Evaluator: `results.jsonl`, what `nel compare` and `nel gate` read.

The form is that of https://docs.nvidia.com/nemo/evaluator/evaluation/result-format (repository NVIDIA-NeMo/Evaluator):
a JSON object a line, with `problem_idx` and `reward`; optionally `repeat` (from 0), `model_response`,
`extracted_answer`, `expected_answer`, `metadata` and `scoring_details`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportedAnswer, ImportedResults
from mlbaseline.tasks.data_files import read_table
from mlbaseline.untrusted import expecting
from mlbaseline.values import as_number, as_text, is_missing

_ID, REWARD = "problem_idx", "reward"
_ANSWERS = ("extracted_answer", "model_response")
"""The first that a record has is its answer."""


def find_records(path: Path) -> Path:
    """Return the file itself or, in a folder, its only `results.jsonl`. Raises DataError where that is not one file."""
    if not path.is_dir():
        return path
    found = sorted(path.rglob("results.jsonl"))
    if len(found) != 1:
        raise DataError(f"{path}: name one results.jsonl; it has: {', '.join(map(str, found)) or 'none'}")
    return found[0]


def read_records(path: Path) -> ImportedResults:
    """Read the records of a file; every repeat of a problem is an answer.

    Args:
        path: The file.

    Raises:
        DataError: The file holds no records of this form.
    """
    rows = read_table(path, "jsonl").rows
    answers = []
    for number, values in rows:
        where = f"{path}, row {number}"
        if missing := [name for name in (_ID, REWARD) if is_missing(values.get(name))]:
            raise DataError(f"{where}: no record of NeMo Evaluator: expected {_ID} and {REWARD}, lacks {missing[0]}")
        with expecting("numbers in reward and repeat", where):
            answers.append(_answer(where, values))
    return ImportedResults(answers, {})


def _answer(where: str, values: Mapping[str, Any]) -> ImportedAnswer:
    repeat = values.get("repeat")
    return ImportedAnswer(
        where,
        as_text(values[_ID]),
        values,
        text=next((as_text(values[name]) for name in _ANSWERS if not is_missing(values.get(name))), None),
        scores={REWARD: as_number(values[REWARD])},
        repeat=1 if is_missing(repeat) else int(float(str(repeat))) + 1,
    )
