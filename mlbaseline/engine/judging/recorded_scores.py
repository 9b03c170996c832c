"""Scores of a judge that exist already, in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pandas.api.extensions import ExtensionArray

from mlbaseline.errors import DataError
from mlbaseline.metrics.labels import answers_of
from mlbaseline.models.row_errors import RowErrors
from mlbaseline.results import SCORE, ResultTable
from mlbaseline.suite import AnswersFile
from mlbaseline.tasks import Fetch
from mlbaseline.tasks.data_files import read_table
from mlbaseline.values import as_number, as_text, is_missing

Columns = dict[str, "np.ndarray | ExtensionArray"]
"""Columns to be added to a table."""
_COLUMNS = ("example_id", "baseline", "score")


@dataclass(frozen=True)
class RecordedScores:
    """A file of scores, one row an example and baseline.

    Attributes:
        file: With the columns `example_id`, `baseline` and `score` (from 0 to 1); optionally `seed`, and `answer`,
            which must then be the answer that is scored.
        metric: Name of the metric.
        fetch: Brings the file to this machine.
    """

    file: AnswersFile
    metric: str
    fetch: Fetch

    def score(self, table: ResultTable) -> tuple[Columns, dict[str, float]]:
        """Return the scores of a table as a column, and how many there are. A failed answer is scored 0.

        Raises:
            DataError: With all rows that do not fit, and examples without a score.
        """
        where = f"metrics.{self.metric}.judge.recorded"
        rows = read_table(self.fetch(self.file.asset).path, None).rows
        if not set(_COLUMNS) <= set(rows[0][1]):
            raise DataError(f"{where}: expected the columns {', '.join(_COLUMNS)}, got: {', '.join(rows[0][1])}")
        errors, answers = RowErrors(), answers_of(table)
        scores: dict[str, float] = {}
        for number, values in rows:
            if _is_of(values, table):
                _read(number, values, answers, scores, errors)
        missing = [id for id, answer in answers.items() if answer is not None and id not in scores]
        errors.add(f"answers of {table.name} without a score", *map(repr, missing))
        errors.raise_any(f"{where}: the recorded scores do not fit the answers")
        column = np.array([0.0 if answer is None else scores[id] for id, answer in answers.items()])
        return {SCORE + self.metric: column}, {"questions": float(len(scores)), "errors": 0.0}


def _is_of(values: Mapping[str, Any], table: ResultTable) -> bool:
    if as_text(values["baseline"]) != table.baseline:
        return False
    seed = values.get("seed")
    return is_missing(seed) or as_text(seed) == str(table.seed)


def _read(
    number: int,
    values: Mapping[str, Any],
    answers: Mapping[str, str | None],
    scores: dict[str, float],
    errors: RowErrors,
) -> None:
    id = as_text(values["example_id"])
    try:
        score = as_number(values["score"])
    except ValueError:
        score = None
    if id not in answers:
        errors.add("ids that are not in the split; remove their rows", f"row {number}: {id!r}")
    elif score is None or not 0.0 <= score <= 1.0:
        errors.add("scores that are not a number from 0 to 1", f"row {number}: {values['score']!r}")
    elif id in scores:
        errors.add("rows that repeat an example; keep one of each", f"row {number}: {id!r}")
    elif not is_missing(values.get("answer")) and str(values["answer"]) != answers[id]:
        errors.add("scores of another answer than the one that was given", f"row {number}: {id!r}")
    else:
        scores[id] = score
