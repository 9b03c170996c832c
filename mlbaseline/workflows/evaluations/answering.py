"""A rung answers the examples of a split."""

from __future__ import annotations

from mlbaseline.engine.rungs import OpenedRung, Rung
from mlbaseline.records import TaskData
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import Suite
from mlbaseline.tasks import kind_of_suite


def answer_all(suite: Suite, data: TaskData, rung: Rung, opened: OpenedRung) -> ResultTable:
    """Let a rung answer all examples.

    Args:
        suite: The suite, whose kind of task concludes what a language model puts out.
        data: The examples.
        rung: The rung.
        opened: The same, loaded.

    Returns:
        Its answers, without scores.

    Raises:
        DataError: An answer is missing.
    """
    answers = opened.model.answer(data.examples)
    is_raw = not rung.external_device and rung.kind not in ("trivial", "human")
    answers = kind_of_suite(suite).conclude(answers, data.examples, is_raw=is_raw)
    return tabulate(data, answers, baseline=rung.baseline, kind=rung.kind, seed=rung.seed, signature=rung.signature)
