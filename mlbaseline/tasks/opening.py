"""From a suite file to a suite that can be evaluated, and to its examples."""

from __future__ import annotations

from mlbaseline.suite import Suite
from mlbaseline.suite.reading import SuiteReference, load_suite
from mlbaseline.tasks.kinds import TASK_KINDS, kind_of_suite
from mlbaseline.tasks.loading import Fetch, LoadedTask


def open_suite(reference: SuiteReference) -> Suite:
    """Read a suite and load what its task consists of, as far as that decides which kind of task it is.

    Args:
        reference: As for `load_suite`.

    Raises:
        SuiteError: The suite is not valid, or does not fit the loaded task.
        DataError: A task of lm-eval cannot be had.
    """
    suite = load_suite(reference)
    return TASK_KINDS[suite.task.kind].open(suite)


def load_task(suite: Suite, fetch: Fetch) -> LoadedTask:
    """Load the examples of every split of a suite: read, cleaned, split and sliced.

    Args:
        suite: The suite.
        fetch: Brings a data file to this machine.

    Raises:
        AssetError: A file cannot be had.
        DataError: A file does not hold what the suite needs.
    """
    return kind_of_suite(suite).load(suite, fetch)
