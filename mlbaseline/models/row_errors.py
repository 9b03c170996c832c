"""Errors of the rows of a file, reported together."""

from __future__ import annotations

from collections import defaultdict

from mlbaseline.errors import DataError

_SHOWN = 3


class RowErrors:
    """Collects errors by kind; each kind is reported with its count and first places."""

    def __init__(self) -> None:
        self._places: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, *places: str) -> None:
        """Add errors of one kind.

        Args:
            kind: continues a count, such as "ids that are not in the split test; remove their rows".
            places: such as "row 7".
        """
        self._places[kind] += places

    def raise_any(self, heading: str) -> None:
        """Raise DataError under `heading` if errors were added."""
        lines = [
            f"  - {len(places):,} {kind} ({', '.join(places[:_SHOWN])}{', …' * (len(places) > _SHOWN)})"
            for kind, places in self._places.items()
            if places
        ]
        if lines:
            raise DataError("\n".join([f"{heading}:", *lines]))
