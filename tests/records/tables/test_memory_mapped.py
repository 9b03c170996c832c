"""What lies in a file is what was put in, and may be taken in any order."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlbaseline.errors import MlbaselineError
from mlbaseline.records import TableWriter, map_array, map_by_rows, take_rows
from mlbaseline.records.tables import memory_mapped

SCHEMA = pa.schema([("id", pa.large_string()), ("texts", pa.list_(pa.large_string())), ("number", pa.float64())])
ROWS = [{"id": f"é{n}", "texts": ["a", str(n)] if n % 3 else None, "number": n / 3} for n in range(50)]


@pytest.fixture(params=[1, 700, 1 << 24], ids=["each batch", "some batches", "in memory"])
def part_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(memory_mapped, "_PART_BYTES", request.param)
    return int(request.param)


def write() -> pa.Table:
    writer = TableWriter(SCHEMA)
    for start in range(0, len(ROWS), 7):
        writer.add(pa.RecordBatch.from_pylist(ROWS[start : start + 7], schema=SCHEMA))
    return writer.table()


def test_a_table_is_what_was_written(part_bytes: int) -> None:
    table = write()
    assert table.schema == SCHEMA
    assert table.to_pylist() == ROWS
    assert (table["id"].num_chunks == 1) == (part_bytes == 1 << 24)
    assert TableWriter(SCHEMA).table().to_pylist() == []


def test_rows_come_in_the_order_in_which_they_are_taken(part_bytes: int) -> None:
    table = write()
    rows = random.Random(1).choices(range(len(ROWS)), k=80)
    assert take_rows(table, np.array(rows)).to_pylist() == [ROWS[row] for row in rows]
    assert take_rows(table, np.array([], dtype=np.int64)).to_pylist() == []
    twice = pa.concat_tables([table.slice(3, 9), table])  # with chunks of other lengths
    assert take_rows(twice, np.array([12, 0, 9])).to_pylist() == [ROWS[3], ROWS[3], ROWS[0]]


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_keeps_its_values_and_its_layout(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_mapped, "_ARRAY_BYTES", 1)
    numbers = np.asarray(np.arange(12.0).reshape(3, 4), order=order)  # type: ignore[call-overload]
    numbers.flags.writeable = False
    mapped = map_array(numbers)
    assert mapped.tolist() == numbers.tolist()
    assert (mapped.dtype, mapped.strides) == (numbers.dtype, numbers.strides)
    mapped[0, 0] = 7.0
    assert numbers[0, 0] == 0.0


@pytest.mark.filterwarnings("ignore:unclosed file")
def test_a_full_disk_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_mapped, "_ARRAY_BYTES", 1)
    monkeypatch.setattr(memory_mapped, "_PART_BYTES", 1)
    monkeypatch.setattr(memory_mapped, "TemporaryFile", partial(Path("/dev/full").open, "wb"))
    with pytest.raises(MlbaselineError, match=r"No space left.*TMPDIR"):
        map_array(np.zeros(1 << 12))
    with pytest.raises(MlbaselineError, match=r"No space left.*TMPDIR"):
        write()


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_computed_by_rows_has_the_bits_and_the_layout_of_all_at_once(
    n: int, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_mapped, "_BLOCK_ROWS", 4)
    numbers = np.asarray(np.random.default_rng(n).normal(size=(n, 11)), order=order)  # type: ignore[call-overload]
    for compute in (lambda rows: np.exp(numbers[rows]), lambda rows: np.exp(numbers[rows]).sum(axis=1)):
        at_once, by_rows = compute(slice(0, n)), map_by_rows(compute, n)
        assert by_rows.tobytes() == at_once.tobytes()
        assert by_rows.strides == at_once.strides
