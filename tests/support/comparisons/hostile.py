"""Documents that nobody meant: valid ones with some of their parts replaced, removed, doubled or wrapped."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = "MLBASELINE_TEST_EXAMPLES"
"""Environment variable: how many documents each property is tried on, for longer searches than the suite's own."""

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "\x00", "\x1b[31m", "\u202e", "\ud83d", "NaN", "1e999", "=1+1", "{text}", "{0.__class__}", "{", "%s"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([10**30, -(10**400), 2**63, 1e308, -0.0, 5e-324]),
    st.floats(),
)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
"""What JSON can say."""


def searched(default: int) -> settings:
    """Return the settings of a property: `default` documents, or as many as the environment asks for."""
    return settings(
        max_examples=int(os.environ.get(EXAMPLES, default)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )


@st.composite
def mutated(draw: st.DrawFn, *documents: Any) -> Any:
    """Draw one of the documents with one to three of its parts changed."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(_paths(document))
        path = draw(st.sampled_from(paths))
        if not path:
            document = _changed(draw, document)
            continue
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if draw(st.integers(0, 4)) == 0:
            del parent[path[-1]]
        elif isinstance(parent, dict) and draw(st.integers(0, 5)) == 0:
            parent[draw(TEXTS)] = parent.pop(path[-1])
        else:
            parent[path[-1]] = _changed(draw, parent[path[-1]])
    return document


def _changed(draw: st.DrawFn, part: Any) -> Any:
    match draw(st.integers(0, 5)):
        case 0:
            return [part]
        case 1:
            return {draw(TEXTS): part}
        case 2 if isinstance(part, list):
            return part + part
        case 3 if isinstance(part, str):
            return part[: len(part) // 2] + draw(TEXTS)
        case 4:
            return str(part)
        case _:
            return draw(JUNK)


def _paths(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    keys: Any = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield from _paths(document[key], (*above, key))
