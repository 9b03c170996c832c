"""A filled-in sheet, as annotators return it."""

from __future__ import annotations

from typing import Any

import pytest

from mlbaseline.errors import DataError
from mlbaseline.metrics.labels import Labels
from mlbaseline.models.label_sheet import read_label_sheet
from mlbaseline.suite import Judge, JudgedMetric

METRIC = JudgedMetric(rubric="Polite?", judge=Judge(function="rules:polite"))
PAIRS = JudgedMetric(rubric="Better?", judge=Judge(function="rules:better"), against="old")


def row(item: Any, label: Any, annotator: Any = "kim", drawn: Any = "20") -> dict[str, Any]:
    return {"item": item, "annotator": annotator, "label": label, "drawn": drawn}


def read(*rows: dict[str, Any], metric: JudgedMetric = METRIC) -> Labels:
    return read_label_sheet(list(enumerate(rows, start=2)), metric, sha256="s", where="labels")


def test_several_annotators_are_averaged_and_empty_cells_are_no_labels() -> None:
    labels = read(row("a", "1"), row("a", 5.0, "lee"), row("b", ""), row("c", "4", ""))
    assert (labels.score("a"), labels.score("b"), labels.score("c")) == (0.5, None, 0.75)
    assert (labels.drawn, labels.sha256) == (20, "s")


def test_words_are_read_whatever_their_case() -> None:
    labels = read(row("x", "a"), row("y", "TIE"), row("z", "B"), metric=PAIRS)
    assert [labels.score(item) for item in "xyz"] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("a", "6")], r"1 labels that are none of 1, 2, 3, 4, 5 \(row 2: '6'\)"),
        ([row("a", "1"), row("a", "2")], "1 items that an annotator labels twice"),
        ([row("", "1")], "1 rows without an item"),
        ([row("a", "1"), row("b", "1", drawn="30")], "Sheets of different draws do not go together"),
        ([row("a", "1", drawn="many")], "one number of drawn examples"),
        ([{"example_id": "a", "label": "1"}], "it lacks: item, drawn"),
    ],
)
def test_what_cannot_be_read_is_told(rows: list[dict[str, Any]], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        read(*rows)
