"""The sheet that people fill in: one row an answer, without a word of who wrote it, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlbaseline.errors import DataError
from mlbaseline.metrics.labels import Labels
from mlbaseline.models.row_errors import RowErrors
from mlbaseline.suite import JudgedMetric
from mlbaseline.values import NumberedRow, as_text, is_missing

ITEM, ANNOTATOR, LABEL, DRAWN, OF = "item", "annotator", "label", "drawn", "of"
"""Columns of a sheet: item, who labelled it, the label, and how many of how many examples were drawn."""
_COLUMNS = (ITEM, LABEL, DRAWN)
_ANYBODY = "annotator"
"""Who labelled a row, where the sheet does not say."""


def read_label_sheet(rows: Sequence[NumberedRow], metric: JudgedMetric, *, sha256: str, where: str) -> Labels:
    """Read a filled-in sheet. A row with an empty label is one that nobody labelled.

    Args:
        rows: Of the sheet, or of the sheets of several annotators one below the other.
        metric: What may be said.
        sha256: Of the file.
        where: Path in the suite, for messages.

    Raises:
        DataError: With all rows that cannot be read.

    Example:
        >>> from mlbaseline.suite import Judge
        >>> metric = JudgedMetric(rubric="Polite?", judge=Judge(function="rules:polite"))
        >>> rows = [(2, {"item": "a1", "annotator": "kim", "label": "4", "drawn": "20"})]
        >>> read_label_sheet(rows, metric, sha256="", where="labels").score("a1")
        0.75
    """
    columns = list(rows[0][1])
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise DataError(
            f"{where}: expected the sheet that `mlbaseline export --labels N` wrote, with its columns; it lacks: "
            f"{', '.join(missing)}"
        )
    errors = RowErrors()
    votes: dict[str, dict[str, float]] = {}
    drawn: set[str] = set()
    options = {option.casefold(): option for option in metric.options}
    for number, values in rows:
        drawn.add(_cell(values, DRAWN))
        item, label = _cell(values, ITEM), _cell(values, LABEL)
        annotator = _cell(values, ANNOTATOR) or _ANYBODY
        if not item:
            errors.add("rows without an item", f"row {number}")
        elif not label:
            votes.setdefault(item, {})
        elif label.casefold() not in options:
            errors.add(f"labels that are none of {', '.join(metric.options)}", f"row {number}: {label!r}")
        elif annotator in votes.get(item, {}):
            errors.add("items that an annotator labels twice", f"row {number}: {annotator!r}, {item!r}")
        else:
            votes.setdefault(item, {})[annotator] = metric.score_of(options[label.casefold()])
    errors.raise_any(f"{where}: the labels cannot be read")
    return Labels({item: given for item, given in votes.items() if given}, _number_drawn(drawn, where), sha256)


def _number_drawn(cells: set[str], where: str) -> int:
    """Read the number of drawn examples, which every row of a sheet repeats."""
    if len(cells) != 1 or not (only := next(iter(cells))).isdecimal() or not int(only):
        raise DataError(
            f"{where}: expected one number of drawn examples in all cells of the column `{DRAWN}`, got: "
            f"{', '.join(sorted(cells)[:3]) or 'none'}. Sheets of different draws do not go together; the larger "
            "draw holds the smaller one"
        )
    return int(only)


def _cell(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    return "" if is_missing(value) else as_text(value).strip()
