"""What is wrong with the rows of a file, told at once."""

from __future__ import annotations

from collections import defaultdict

from mlbaseline.errors import DataError

_SHOWN = 3


class Problems:
    """Problems by kind; each kind is told with how often it occurs and its first places."""

    def __init__(self) -> None:
        self._places: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, what: str, *places: str) -> None:
        """what: reads on from a number, "ids that are not in the split test; remove their rows"."""
        self._places[what] += places

    def raise_any(self, heading: str) -> None:
        """Raise DataError if something was added."""
        lines = [
            f"  - {len(places):,} {what} ({', '.join(places[:_SHOWN])}{', …' * (len(places) > _SHOWN)})"
            for what, places in self._places.items()
            if places
        ]
        if lines:
            raise DataError("\n".join([f"{heading}:", *lines]))
