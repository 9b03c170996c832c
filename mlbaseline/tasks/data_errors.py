"""Errors in data, reported at once."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence

from mlbaseline import formats
from mlbaseline.errors import DataError
from mlbaseline.suggestions import nearest_names

DELIMITERS = (",", ";", "\t", "|")
"""Those that stand between the cells of text tables, the more usual ones first."""
SHOWN = 3
"""Rows or ids that a message shows."""


def raise_all(where: str, problems: Sequence[str]) -> None:
    """Raise DataError with every problem, if there is one. where: begins the message."""
    if problems:
        raise DataError(
            f"{where}: " + "\n".join(problems if len(problems) == 1 else ["", *(f"  - {p}" for p in problems)])
        )


def raise_first(problems: Sequence[str], remedy: str) -> None:
    """Raise DataError with the first problems and the number of the others, if there is one."""
    shown = list(problems[:SHOWN])
    if len(problems) > SHOWN:
        shown.append(f"… and {formats.counted(len(problems) - SHOWN, 'row')} more; {remedy}")
    raise_all("data", shown)


def no_column(name: str, columns: Iterable[str], place: str = "") -> str:
    """Say that there is no such column, which ones there are, and which one is likely meant.

    Args:
        name: The column that is missing.
        columns: Those that are there.
        place: Where they are, such as " in data.csv".

    Example:
        >>> print(no_column("body", ["body ", "label"]))
        no column 'body'; there are: 'body ', 'label'; did you mean 'body '? In the suite it is written "body "
    """
    names = list(columns)
    return (
        f"no column {name!r}{place}; there are: {quoted(names)}{_other_delimiter(names) or meant_column(name, names)}"
    )


def _other_delimiter(columns: Sequence[str]) -> str:
    """Name the delimiter of a header that was read as one column; empty where it has none of the usual ones."""
    held = [delimiter for delimiter in DELIMITERS if len(columns) == 1 and delimiter in columns[0]]
    return f". The header is one column; write `delimiter: {json.dumps(held[0])}` in `task.data`" if held else ""


def quoted(columns: Iterable[str]) -> str:
    """List names of columns in quotes, with escapes for what is not visible: a header may end with a space."""
    return ", ".join(map(repr, columns))


def meant_column(name: str, columns: Sequence[str]) -> str:
    """Ask whether the most similar column was meant, and show how an unusual name is written; empty if none is."""
    alike = [column for column in columns if visible_form(column) == visible_form(name)]
    near = next(iter(alike or nearest_names(name, columns)), None)
    if near is None:
        return ""
    if near == near.strip() and near.isprintable():
        return f"; did you mean {near!r}?"
    written = json.dumps(near, ensure_ascii=not near.isprintable())
    return f"; did you mean {near!r}? In the suite it is written {written}"


def visible_form(text: str) -> str:
    """Return a text without case, white space at its ends and invisible characters, such as a byte order mark."""
    shown = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in ("Cf", "Cc"))
    return " ".join("".join(shown).casefold().split())
