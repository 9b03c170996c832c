"""A published score, from the suite file or from a row of a leaderboard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Scalar
from mlbaseline.suite.external import External, Leaderboard, check_range
from mlbaseline.values import NumberedRow, as_number, as_text, is_missing

_SHOWN = 5


def stated_score(spec: External) -> dict[str, Scalar]:
    """Return value, n, standard error and date, as the suite file states them."""
    return {"value": spec.value, "n": spec.n, "standard_error": spec.standard_error, "date": spec.date}


def read_score(spec: External, board: Leaderboard, rows: Sequence[NumberedRow], *, where: str) -> dict[str, Scalar]:
    """Read the same from the one row of a table that the suite selects; the suite states what the table lacks.

    Args:
        spec: the baseline.
        board: row and columns of the score.
        rows: of the table.
        where: path in the suite, for messages.

    Raises:
        DataError: a column is missing, no row or several fit, or a cell has a wrong value.
    """
    wanted = {*board.row, *(name for name in (board.value, board.n, board.standard_error, board.date) if name)}
    missing = sorted(wanted - rows[0][1].keys())
    if missing:
        raise DataError(f"{where}: the table has no column {', '.join(missing)}; it has: {', '.join(rows[0][1])}")
    fitting = [entry for entry in rows if all(_cell(entry[1], name) == text for name, text in board.row.items())]
    if len(fitting) != 1:
        near = (
            f" ({', '.join(f'row {number}' for number, _ in fitting[:_SHOWN])})"
            if fitting
            else _known_values(board, rows)
        )
        raise DataError(f"{where}.row: expected one row with {dict(board.row)}, found {len(fitting)}{near}")
    number, cells = fitting[0]
    at = f"{where}: row {number}"
    scale = 100.0 if board.percent else 1.0
    value = _number(cells, board.value, at)
    if value is None:
        raise DataError(f"{at}: {board.value} is empty")
    try:
        check_range(spec.metric, value / scale)
    except ValueError as outside:
        raise DataError(f"{at}: {outside}; for per cent, say `percent: true`") from None
    n, error = _number(cells, board.n, at), _number(cells, board.standard_error, at)
    if (n is not None and (n < 1 or n != int(n))) or (error is not None and error <= 0):
        raise DataError(f"{at}: expected a whole number of examples and a standard error above 0, got {n} and {error}")
    return {
        "value": value / scale,
        "n": spec.n if n is None else int(n),
        "standard_error": spec.standard_error if error is None else error / scale,
        "date": spec.date if board.date is None else _cell(cells, board.date) or None,
    }


def _cell(cells: Mapping[str, Any], name: str) -> str:
    return "" if is_missing(cells[name]) else as_text(cells[name]).strip()


def _number(cells: Mapping[str, Any], name: str | None, at: str) -> float | None:
    try:
        number = None if name is None else as_number(cells[name])
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise DataError(f"{at}: {name} is not a number: {cells[str(name)]!r}")
    return number


def _known_values(board: Leaderboard, rows: Sequence[NumberedRow]) -> str:
    """List values of the first selecting column, to help with a typing error."""
    name = next(iter(board.row))
    known = list(dict.fromkeys(_cell(cells, name) for _, cells in rows))
    return f"; {name} holds: {', '.join(known[:_SHOWN])}{', …' * (len(known) > _SHOWN)}"
