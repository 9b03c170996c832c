"""Which keys a mapping of a suite file can have: all of them, and those that go with what is written beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mlbaseline.suite.root import Suite

_TELLS_APART = "kind", "method"
"""Keys whose values say which other keys a mapping has."""
Schema = Mapping[str, Any]


@cache
def every_key() -> frozenset[str]:
    """Return every key that some part of a suite can have."""
    parts = (_schema(), *map(as_mapping, _schema()["$defs"].values()))
    return frozenset(key for part in parts for key in part.get("properties", {}))


def as_mapping(definition: Schema) -> Schema:
    """Return what a definition of the JSON Schema says of a mapping; a text may stand for some of them, too."""
    return next((way for way in definition.get("anyOf", ()) if "properties" in way), definition)


def keys_at(content: Any, path: Sequence[str | int]) -> frozenset[str]:
    """Return the keys that a mapping of the file can have.

    Args:
        content: Raw content of the file.
        path: Leads to the mapping.

    Example:
        >>> "strategy" in keys_at({"baselines": {"rule": {"kind": "trivial"}}}, ("baselines", "rule"))
        True
    """
    parts = list(_alternatives(_schema(), content))
    for step in path:
        content = _inside(content, step)
        parts = [found for part in parts for child in _children(part, step) for found in _alternatives(child, content)]
    return frozenset(key for part in parts for key in part.get("properties", {}))


@cache
def _schema() -> Schema:
    return Suite.model_json_schema()


def _inside(content: Any, step: str | int) -> Any:
    if isinstance(content, Mapping):
        return content.get(step)
    return content[step] if isinstance(content, list) and isinstance(step, int) and step < len(content) else None


def _children(part: Schema, step: str | int) -> Iterator[Schema]:
    """Yield what a schema says of a key, or of an item of a list."""
    if isinstance(step, int):
        below = [part.get("items")]
    elif step in part.get("properties", {}):
        below = [part["properties"][step]]
    else:  # a name of the user's own
        below = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
    yield from (each for each in below if isinstance(each, Mapping))


def _alternatives(part: Schema, content: Any) -> Iterator[Schema]:
    """Yield what a schema may stand for, without what the content's kind or method excludes."""
    if "$ref" in part:
        part = _schema()["$defs"][part["$ref"].rpartition("/")[2]]
    either = [alternative for name in ("anyOf", "oneOf") for alternative in part.get(name, ())]
    if either:
        for alternative in either:
            yield from _alternatives(alternative, content)
    elif not _is_excluded(part, content):
        yield part


def _is_excluded(part: Schema, content: Any) -> bool:
    if not isinstance(content, Mapping):
        return False
    properties = part.get("properties", {})
    return any(
        key in content and content[key] not in properties[key].get("enum", [properties[key].get("const", content[key])])
        for key in _TELLS_APART
        if key in properties
    )
