"""YAML from outside, such as a suite in a pull request or in a run: bounded before anything is built from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

MAX_CHARACTERS = 1 << 20
MAX_NODES = 50_000
"""Keys and values that a file may have, those behind aliases counted wherever they are repeated."""
MAX_DEPTH = 50
_NO_TEXT = re.compile("[\\x00\ud800-\udfff]")
"""YAML's escapes can say what neither a database nor a tokenizer takes."""

_HINTS = {
    "mapping values": ". A text with a colon in it needs quotes",
    "found '<scalar>'": ". A quote is not closed before it, or the text begins with a brace and needs quotes around it",
    "found '<block mapping start>'": ". Keys of one level begin in the same column",
    "parsing a flow": ". A bracket, brace or comma is missing, there or on the line before",
    "'\\t'": ": a tab. Use spaces, which alone make the levels of YAML",
}
"""Part of what the library says ─▶ what to do."""


class _LimitError(ValueError):
    """The file exceeds a limit."""


class _Loader(yaml.SafeLoader):
    """Leaves dates as text: a suite has none, and `2001-99-99` is an error of the library's."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_bounded(text: str) -> tuple[yaml.Node | None, Any]:
    """Parse YAML with limits of length, depth and size.

    Args:
        text: One document.

    Returns:
        Its nodes, which know their lines, and its content. The content is a tree: no part of it contains itself.

    Raises:
        ValueError: The text is no YAML or exceeds a limit.

    Example:
        >>> load_bounded("seeds: [0, 1]")[1]
        {'seeds': [0, 1]}
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        _check_size(node)
        return node, loader.construct_document(node)
    except _LimitError:
        raise
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        told = " ".join(filter(None, (error.context, error.problem)))
        hint = next((hint for sign, hint in _HINTS.items() if sign in told), "")
        raise ValueError(f"{where}not valid YAML: {told}{hint}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {error}") from error
    except RecursionError:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep") from None
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError(f"not valid YAML: a value cannot be read: {error}") from error


def _check_size(root: yaml.Node) -> None:
    """Count nodes without repeating what aliases share: an alias bomb of 300 bytes has 10⁹ of them."""
    sizes: dict[int, int] = {}

    def size_of(node: yaml.Node, depth: int, above: frozenset[int]) -> int:
        line = f"line {node.start_mark.line + 1}"
        if id(node) in above:
            raise _LimitError(f"{line}: an alias stands inside what it names")
        if depth > MAX_DEPTH:
            raise _LimitError(f"{line}: is nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, yaml.ScalarNode) and _NO_TEXT.search(node.value):
            raise _LimitError(f"{line}: holds a NUL or half of a character, which no text has")
        if id(node) not in sizes:
            inside = above | {id(node)}
            sizes[id(node)] = 1 + sum(size_of(child, depth + 1, inside) for child in _children(node))
        if sizes[id(node)] > MAX_NODES:
            raise _LimitError(f"{line}: stands for {sizes[id(node)]:,} keys and values, expected at most {MAX_NODES:,}")
        return sizes[id(node)]

    size_of(root, 0, frozenset())


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _LimitError(f"line {key.start_mark.line + 1}: a key is a list or mapping, expected a text")
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
