"""The answers of a rung become a table."""

from __future__ import annotations

from collections.abc import Iterable

from mlbaseline.engine.rungs import Rung
from mlbaseline.records import Answer, TaskData
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import Suite
from mlbaseline.tasks import kind_of_suite


def tabulate_answers(suite: Suite, data: TaskData, rung: Rung, answers: Iterable[Answer]) -> ResultTable:
    """Put the answers of a rung into a table.

    Args:
        suite: The suite, whose kind of task concludes what a language model puts out.
        data: The examples.
        rung: The rung.
        answers: What its model answers, one for each example.

    Returns:
        The table, without scores.

    Raises:
        DataError: An answer is missing.
    """
    is_raw = not rung.external_device and rung.kind not in ("trivial", "human")
    answers = kind_of_suite(suite).conclude(answers, data.examples, is_raw=is_raw)
    return tabulate(data, answers, baseline=rung.baseline, kind=rung.kind, seed=rung.seed, signature=rung.signature)
