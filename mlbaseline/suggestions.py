"""Which of the names that there are was probably meant: the end of every message about a name that is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_ALIKE = 0.7
"""Ratio of `difflib` from which on two names are alike."""


def nearest_names(name: object, names: Iterable[object], n: int = 1) -> list[str]:
    """Return the names that are most like this one, upper and lower case alike; empty where none is like it.

    Args:
        name: That is unknown, in whatever type a file has it.
        names: That are known.
        n: How many are returned at most.

    Example:
        >>> nearest_names("MAJORTY", ["majority", "uniform"])
        ['majority']
    """
    known = {str(each).casefold(): str(each) for each in names}
    return [known[found] for found in get_close_matches(str(name).casefold(), known, n=n, cutoff=_ALIKE)]


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """Ask, as the end of a message, whether the name most like this one was meant; empty where none is like it.

    Example:
        >>> did_you_mean("trivail", ["trivial", "pretrained"])
        "; did you mean 'trivial'?"
    """
    found = nearest_names(name, names)
    return f"; did you mean {found[0]!r}?" if found else ""


def unknown_name(what: str, name: object, names: Iterable[object], whose: str = "the suite has") -> str:
    """Say that there is no such name, which ones there are, and which one was probably meant.

    Args:
        what: The name is of.
        name: That is unknown.
        names: That are known.
        whose: Stands in front of them.

    Example:
        >>> unknown_name("baseline", "majorty", ["majority", "lora"])
        "unknown baseline 'majorty'; the suite has: majority, lora; did you mean 'majority'?"
    """
    known = [str(each) for each in names]
    return f"unknown {what} {name!r}; {whose}: {', '.join(known) or 'none'}{did_you_mean(name, known)}"
