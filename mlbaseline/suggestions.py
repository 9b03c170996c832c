"""Which of the names that there are was probably meant: the end of every message about a name that is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_ALIKE = 0.65
"""Ratio of `difflib` from which on two names are alike."""


def nearest_names(name: object, names: Iterable[object], n: int = 1) -> list[str]:
    """Return the names that are most like this one, else those that contain it; empty where there are none.

    Upper and lower case are alike.

    Args:
        name: That is unknown, in whatever type a file has it.
        names: That are known.
        n: How many are returned at most.

    Example:
        >>> nearest_names("MAJORTY", ["majority", "uniform"])
        ['majority']
        >>> nearest_names("f1", ["accuracy", "macro_f1"])
        ['macro_f1']
    """
    known = {str(each).casefold(): str(each) for each in names}
    wanted = str(name).casefold()
    alike = get_close_matches(wanted, known, n=n, cutoff=_ALIKE)
    containing = [each for each in known if wanted in each.split("_")]
    return [known[found] for found in alike or containing[:n]]


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
