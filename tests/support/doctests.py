"""Run the examples of docstrings."""

from __future__ import annotations

import doctest

_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def assert_holds(example: doctest.DocTest) -> None:
    """Run an example and fail with what it printed instead."""
    found: list[str] = []
    doctest.DocTestRunner(optionflags=_OPTIONS).run(example, out=found.append)
    assert not found, "".join(found)
