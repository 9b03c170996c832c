"""Examples in an Arrow table are those that were put in."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from mlbaseline.records import BLOCK_ROWS, Example, ExampleTable, by_id, columns_of, field_names, id_at, select

N = 2 * BLOCK_ROWS + 3
EXAMPLES = [
    Example(
        f"é{n * 7919 % N}",
        {"text": f"t {n}", "value": [None, n, n / 3, True, {"b": [1], "a": "\ud800"}][n % 5]},
        "ja",
        ("ja", "nein") if n % 2 else ("ja", "nein", "?"),
        cluster=f"c{n % 3}" if n % 4 else None,
        slices={"part": "ab"[n % 2]},
        references=("jo",) if n % 3 else (),
        weight=n + 0.5,
    )
    for n in range(N)
]
TABLE = ExampleTable.of(EXAMPLES)


def test_it_is_the_sequence_that_was_put_in() -> None:
    assert TABLE == EXAMPLES
    assert EXAMPLES == TABLE
    assert EXAMPLES[:-1] != TABLE
    assert (len(TABLE), TABLE[0], TABLE[-1], TABLE[BLOCK_ROWS]) == (
        N,
        EXAMPLES[0],
        EXAMPLES[-1],
        EXAMPLES[BLOCK_ROWS],
    )
    assert TABLE[3 : BLOCK_ROWS + 9] == tuple(EXAMPLES[3 : BLOCK_ROWS + 9])
    assert TABLE[::-3] == tuple(EXAMPLES[::-3])
    assert TABLE[5:5] == ()
    assert TABLE[5:1:-2] == (EXAMPLES[5], EXAMPLES[3])
    with pytest.raises(IndexError):
        TABLE[N]
    assert pickle.loads(pickle.dumps(TABLE)) == EXAMPLES


def test_what_no_example_has_takes_no_column() -> None:
    bare = ExampleTable.of([Example("a", {"x": math.inf}, "no", ())])
    assert bare.table.column_names == ["id", "values", "target"]
    assert bare == [Example("a", {"x": math.inf}, "no", ())]


@pytest.mark.parametrize("examples", [TABLE, tuple(EXAMPLES)], ids=["table", "tuple"])
def test_examples_by_id_and_by_position(examples: ExampleTable | tuple[Example, ...]) -> None:
    ordered = by_id(examples)
    assert list(ordered) == sorted(EXAMPLES, key=lambda example: example.id)
    positions = np.array([N - 1, 0, 7])
    assert [id_at(ordered, place) for place in (0, 7, N - 1)] == [ordered[place].id for place in (0, 7, N - 1)]
    assert tuple(ordered[9:2:-3]) == tuple(ordered[place] for place in (9, 6, 3))
    assert select(examples, positions) == tuple(EXAMPLES[position] for position in positions)
    assert select(ordered, positions) == tuple(ordered[position] for position in positions)


def test_names_of_fields_are_known_without_making_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    assert field_names(TABLE) == field_names(EXAMPLES) == ["text", "value"]
    named = ExampleTable(TABLE.table, {"b": 1, "a": 0})
    monkeypatch.setattr(ExampleTable, "_items", None)
    assert field_names(named) == ["a", "b"]


@pytest.mark.parametrize("examples", [TABLE, tuple(EXAMPLES)], ids=["table", "tuple"])
def test_columns_are_what_the_examples_hold_in_their_order(examples: ExampleTable | tuple[Example, ...]) -> None:
    columns = columns_of(by_id(examples), ("id", "slice.part", "cluster", "weight", "references"))
    assert columns.to_pylist() == [
        {
            "id": e.id,
            "slice.part": e.slices["part"],
            "cluster": e.cluster,
            "weight": e.weight,
            "references": list(e.references) or None,
        }
        for e in sorted(EXAMPLES, key=lambda example: example.id)
    ]


@pytest.mark.parametrize("n", [1, BLOCK_ROWS, 2 * BLOCK_ROWS + 1])
def test_a_column_that_no_example_has_is_empty(n: int) -> None:
    bare = [Example(str(number), {}, "", ()) for number in range(n)]
    for examples in (bare, ExampleTable.of(bare)):
        columns = columns_of(examples, ("target", "cluster", "references"))
        assert columns.schema.types == columns_of(TABLE, ("target", "cluster", "references")).schema.types
        assert columns.to_pylist() == [{"target": "", "cluster": None, "references": None}] * n
