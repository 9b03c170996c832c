"""Sequences whose items lie in an Arrow table: a million of them as Python objects take most of a gigabyte."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from mlbaseline.records.tables.memory_mapped import Positions, TableWriter, take_rows

if TYPE_CHECKING:
    import pyarrow as pa

T_co = TypeVar("T_co", covariant=True)

BLOCK_ROWS = 4096
"""Rows that are Python objects at a time."""
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class PackedSequence(Sequence[T_co]):
    """A sequence whose items are made from the rows of an Arrow table when they are read. Equal to a list of them."""

    def __init__(self, table: pa.Table, order: Positions | None = None) -> None:
        """Take a table as it is.

        Args:
            table: Its rows.
            order: The rows that count, in their order; None: all rows.
        """
        self.table, self._order = table, order

    @abstractmethod
    def _items(self, block: pa.Table) -> Iterator[T_co]:
        """Make the items of some rows."""

    def _read(self, places: range) -> Iterator[T_co]:
        """Yield the items at some places, of which one block is in memory at a time."""
        for start in range(0, len(places), BLOCK_ROWS):
            yield from self._items(self._rows(places[start : start + BLOCK_ROWS]))

    def _rows(self, places: range) -> pa.Table:
        if self._order is None and places.step == 1:
            return self.table.slice(places.start, len(places))
        rows = np.asarray(places, dtype=np.int64)
        return take_rows(self.table, rows if self._order is None else self._order[rows])

    def __len__(self) -> int:
        """Return the number of items."""
        return self.table.num_rows if self._order is None else len(self._order)

    def __iter__(self) -> Iterator[T_co]:
        """Return the items one by one, of which one block is in memory at a time."""
        return self._read(range(len(self)))

    @overload
    def __getitem__(self, place: int) -> T_co: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[T_co, ...]: ...

    def __getitem__(self, place: int | slice) -> T_co | tuple[T_co, ...]:
        """Return one item, or several as a tuple."""
        positions = range(len(self))[place]
        if isinstance(positions, range):
            return tuple(self._read(positions))
        return next(self._read(range(positions, positions + 1)))

    def __eq__(self, other: object) -> bool:
        """Compare item by item with any sequence."""
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(ours == theirs for ours, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list


def pack(rows: Iterable[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Put rows into an Arrow table, one block after the other. A large one lies in a file.

    Args:
        rows: A value for each column.
        schema: The columns and their types.
    """
    iterator, writer = iter(rows), TableWriter(schema)
    while block := list(islice(iterator, BLOCK_ROWS)):
        writer.add(pack_block(block, schema))
    return writer.table()


def pack_block(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Put some rows into an Arrow record batch. For the arguments see `pack`."""
    import pyarrow as pa

    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, column.type) for values, column in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def sort_rows(values: pa.ChunkedArray) -> Positions:
    """Return the positions (n,) of values in their order; equal ones keep theirs."""
    import pyarrow.compute as pc

    # Arrow orders texts by their bytes in UTF-8, which is the order of their code points, as Python's is.
    return np.asarray(pc.sort_indices(values)).view(np.int64)


def values_of(column: pa.ChunkedArray) -> Iterator[Any]:
    """Yield the values of a column, of which one block is in memory at a time."""
    for start in range(0, len(column), BLOCK_ROWS):
        yield from list_values(column.slice(start, BLOCK_ROWS))


def list_values(column: pa.ChunkedArray) -> list[Any]:
    """Return all values of a column, which has one block at most."""
    import pyarrow as pa

    values: list[Any] = column.to_pylist() if pa.types.is_list(column.type) else column.to_numpy().tolist()
    return values  # by way of numpy several times as fast


def to_json(values: Any) -> bytes:
    """Write what JSON can hold so that `json.loads` gives it back, the order of keys included."""
    return _JSON.encode(values).encode("utf-8", "surrogatepass")


def list_json(column: pa.ChunkedArray) -> list[Any]:
    """Return what `to_json` wrote into each row of a column, which has one block at most.

    One call for all of them takes a fifth of the time of one for each.
    """
    content: list[Any] = json.loads(b"[" + b",".join(list_values(column)) + b"]")
    return content


def release_unused_memory() -> None:
    """Give back to the system what Arrow keeps of the memory that it no longer uses."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
