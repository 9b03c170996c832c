"""Nested mappings by one name for each entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flattened(content: Mapping[str, Any], *, prefix: str = "", separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested mappings with the names that lead to them joined; an empty mapping has none.

    Args:
        content: The mapping.
        prefix: Stands before every name.
        separator: Stands between two names.

    Example:
        >>> dict(flattened({"a": 1, "b": {"c": [2], "d": {}}}))
        {'a': 1, 'b.c': [2]}
    """
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from flattened(value, prefix=f"{prefix}{key}{separator}", separator=separator)
        else:
            yield f"{prefix}{key}", value
