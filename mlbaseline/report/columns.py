"""Tables whose columns depend on the rows: each column stands beside what fills it, and beside whether it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mlbaseline.report.view import Cell, Column, Row

Item = TypeVar("Item")


@dataclass(frozen=True)
class FilledColumn(Generic[Item]):
    """A column, and the cell that it has for an item. is_shown: whether the table has it."""

    column: Column
    cell: Callable[[Item], Cell]
    is_shown: bool = True


def fill(
    columns: Iterable[FilledColumn[Item]],
    items: Sequence[Item],
    *,
    is_emphasised: Callable[[Item], bool] = lambda _: False,
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Return the columns that are shown, and one row an item.

    Args:
        columns: In the order of the table.
        items: One for each row.
        is_emphasised: Tells for which item the row is emphasised.
    """
    shown = [filled for filled in columns if filled.is_shown]
    rows = (Row(tuple(filled.cell(item) for filled in shown), emphasis=is_emphasised(item)) for item in items)
    return tuple(filled.column for filled in shown), tuple(rows)
