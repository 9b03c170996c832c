"""Tables of results from elsewhere: they pair by example, or one error names what does not fit."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mlbaseline.errors import DataError, IncomparableError
from mlbaseline.records import Answer, Example, Signature, TaskData
from mlbaseline.results import ResultTable, align, load_table, tabulate
from tests.support.comparisons.hostile import JUNK, mutated, searched

LABELS = ("bad", "good")
IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


def table_of(ids: list[str], name: str = "a") -> ResultTable:
    examples = tuple(Example(id, {"text": id}, "bad", LABELS) for id in ids)
    answers = [Answer(id, "bad") for id in reversed(ids)]
    data = TaskData("test", examples, LABELS, "d" * 64)
    return tabulate(data, answers, baseline=name, kind="trivial", seed=None, signature=Signature({}))


@searched(100)
@given(st.lists(IDS, min_size=1, max_size=8, unique=True), st.lists(IDS, min_size=1, max_size=8, unique=True))
def test_tables_pair_where_they_hold_the_same_examples(ours: list[str], theirs: list[str]) -> None:
    tables = [table_of(ours), table_of(theirs, "b")]
    if set(ours) == set(theirs):
        align(tables)
        first, second = (table.frame["example_id"].tolist() for table in tables)
        assert first == second == sorted(ours)
    else:
        try:
            align(tables)
        except IncomparableError as error:
            assert "a and b do not hold the same examples" in str(error)
        else:
            raise AssertionError("other examples were paired")


@searched(100)
@given(st.lists(IDS, min_size=1, max_size=6, unique=True), st.lists(IDS, max_size=8))
def test_every_example_gets_exactly_one_answer(ids: list[str], answered: list[str]) -> None:
    data = TaskData("test", tuple(Example(id, {}, "bad", LABELS) for id in ids), LABELS, "d" * 64)
    answers = [Answer(id, "good") for id in answered]
    try:
        table = tabulate(data, answers, baseline="a", kind="trivial", seed=None, signature=Signature({}))
    except DataError as error:
        assert sorted(answered) != sorted(ids)
        assert str(error).startswith("a: ")
    else:
        assert sorted(answered) == sorted(ids)
        assert (table.frame["prediction"] == "good").all()


VALID = table_of(["x", "y", "z"])
CELLS = st.lists(st.one_of(JUNK, st.binary(max_size=3)), min_size=3, max_size=3)


@searched(80)
@given(
    st.dictionaries(st.sampled_from([*VALID.frame, "score.accuracy", "unanswered", "other"]), CELLS, max_size=3),
    st.sets(st.sampled_from(list(VALID.frame)), max_size=2),
    mutated({"data.split": "test", "seed": None}),
    st.binary(max_size=3),
    st.integers(0),
)
def test_a_table_that_was_written_by_others(
    changed: dict[str, list[Any]], dropped: set[str], signature: Any, piece: bytes, start: int
) -> None:
    columns = {name: VALID.frame[name].tolist() for name in VALID.frame if name not in dropped} | changed
    columns = {name: [None if value is pd.NA else value for value in values] for name, values in columns.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "examples.parquet")
        try:
            parquet.write_table(pa.table(columns), path)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            return  # no such file can be written
        content = path.read_bytes()
        start %= 3 * len(content)  # in most cases the file is whole
        path.write_bytes(content[:start] + piece + content[start + len(piece) :])
        Path(folder, "signature.json").write_text(json.dumps(signature), encoding="utf-8")
        try:
            table = load_table(Path(folder), baseline="a", kind="trivial", seed=None)
            align([VALID, table])
        except DataError as error:
            assert str(error).startswith(("a: ", folder))
        except IncomparableError as error:
            assert "do not hold the same examples" in str(error)
        else:
            assert table.frame["example_id"].tolist() == ["x", "y", "z"]
            assert table.n_unanswered in range(4)
