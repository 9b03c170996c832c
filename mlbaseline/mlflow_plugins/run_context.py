"""Tags for the runs of a training script, so that they are found from the suite that the script works for.

MLflow loads this module in every process that uses it. Nothing but the standard library is imported until a variable
is set, and the class does not derive from MLflow's `RunContextProvider`, whose two methods it has.
"""

from __future__ import annotations

import os
from functools import cache

from mlbaseline.passed_tags import PASSED_TAGS, read_passed_tags

SUITE = "MLBASELINE_SUITE"
"""Environment variable: path of a suite file, or the name of a packaged suite."""


class SuiteRunContext:
    """Says which suite a run belongs to that a program starts, inside a ladder or with `MLBASELINE_SUITE` set."""

    def in_context(self) -> bool:
        """Tell whether there is anything to say."""
        return bool(os.environ.get(PASSED_TAGS) or os.environ.get(SUITE))

    def tags(self) -> dict[str, str]:
        """Return the suite's tags: those that a ladder passed on, else those of the suite that is named.

        Raises:
            SuiteError: The suite cannot be read. MLflow warns of whatever is raised here, and starts the run without
                these tags.
        """
        passed = read_passed_tags(os.environ)
        return passed or _tags_of(os.environ.get(SUITE, ""))


@cache
def _tags_of(suite: str) -> dict[str, str]:
    from mlbaseline.store.server.tracking import suite_tags
    from mlbaseline.suite.reading import load_suite

    return suite_tags(load_suite(suite)) if suite else {}
