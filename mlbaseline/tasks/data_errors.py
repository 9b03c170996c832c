"""Errors in data, reported at once."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline.errors import DataError

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
        shown.append(f"… and {len(problems) - SHOWN} rows more; {remedy}")
    raise_all("data", shown)
