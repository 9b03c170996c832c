"""Large tables and arrays in memory-mapped files: the system takes back their pages when it needs memory.

The files lie in the folder for temporary files (`TMPDIR`) and have no name: each goes with the last object that reads
it, however the process ends. What is small stays in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from mmap import ACCESS_COPY, ACCESS_READ, mmap
from tempfile import TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mlbaseline.errors import MlbaselineError

if TYPE_CHECKING:
    import pyarrow as pa

Positions = npt.NDArray[np.int64]
"""Positions (n,) of rows in a table."""

_PART_BYTES = 1 << 24
"""Of a table that are written together; a smaller table is never written."""
_ARRAY_BYTES = 1 << 22
"""A smaller array is never written."""
_BLOCK_ROWS = 1 << 16
"""Of what is computed by rows."""


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MlbaselineError(
            f"{gettempdir()}: a large table or column cannot be kept there: {error}; make room, or set TMPDIR to a "
            "folder on a larger disk"
        ) from error


class TableWriter:
    """Puts record batches into a table, in their order."""

    def __init__(self, schema: pa.Schema) -> None:
        """Begin an empty table. schema: of every batch."""
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._file: IO[bytes] | None = None
        self._ipc: Any = None

    @_writing()
    def add(self, batch: pa.RecordBatch) -> None:
        """Append a batch. Raises MlbaselineError where the disk is full."""
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= _PART_BYTES:
            self._write()

    @_writing()
    def table(self) -> pa.Table:
        """Return the table; nothing may be added any more. Raises MlbaselineError where the disk is full."""
        import pyarrow as pa

        if self._file is None:
            return self._take_waiting()
        self._write()
        self._ipc.close()
        with self._file:
            return pa.ipc.open_file(pa.py_buffer(_mapped(self._file, ACCESS_READ))).read_all()

    def _write(self) -> None:
        import pyarrow as pa

        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115  closed when it is mapped
            self._ipc = pa.ipc.new_file(self._file, self._schema)
        self._ipc.write_table(self._take_waiting())

    def _take_waiting(self) -> pa.Table:
        import pyarrow as pa

        table = pa.Table.from_batches(self._waiting, self._schema).combine_chunks()
        self._waiting.clear()
        self._waiting_bytes = 0
        return table


def take_rows(table: pa.Table, rows: Positions) -> pa.Table:
    """Return some rows, in the order given.

    `Table.take` of pyarrow 25 needs the memory of whole columns, as it puts their chunks together first.
    """
    writer = TableWriter(table.schema)
    batches = table.to_batches()
    starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
    at_a_time = max(1, _PART_BYTES * table.num_rows // max(table.nbytes, 1))
    for start in range(0, len(rows), at_a_time):
        writer.add(_take_block(batches, starts, rows[start : start + at_a_time]))
    return writer.table()


def _take_block(batches: list[pa.RecordBatch], starts: Positions, rows: Positions) -> pa.RecordBatch:
    import pyarrow as pa

    by_place = np.argsort(rows, kind="stable")
    wanted = rows[by_place]
    ends = np.searchsorted(wanted, starts)
    parts = [
        batch.take(pa.array(wanted[first:last] - start))
        for batch, start, first, last in zip(batches, starts, ends, ends[1:], strict=False)
        if first < last
    ]
    places = np.empty_like(by_place)
    places[by_place] = np.arange(len(rows))
    return pa.concat_batches(parts).take(pa.array(places))


@_writing()
def map_array(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that may be written to, a large one in a file. Raises MlbaselineError where the disk is full."""
    if numbers.nbytes < _ARRAY_BYTES:
        return numbers if numbers.flags.writeable else numbers.copy()
    order: Literal["C", "F"] = "C" if numbers.flags.c_contiguous else "F"  # sums depend on it in their last bits
    with TemporaryFile() as file:
        file.write(numbers.ravel(order).data)
        return np.frombuffer(_mapped(file, ACCESS_COPY), dtype=numbers.dtype).reshape(numbers.shape, order=order)


@_writing()
def map_by_rows(to_numbers: Callable[[slice], npt.NDArray[np.float64]], n: int) -> npt.NDArray[np.float64]:
    """Return numbers of n rows that are computed a block of rows at a time, in a file where `map_array` uses one.

    Args:
        to_numbers: Some rows ─▶ their numbers (rows,) or (rows, k).
        n: Number of rows, at least 1.

    Returns:
        Numbers (n,) or (n, k), with the bits and the layout that they have when all are computed at once.

    Raises:
        MlbaselineError: The disk is full.
    """
    if n <= _BLOCK_ROWS:
        return np.asarray(to_numbers(slice(0, n)))
    with TemporaryFile() as file:
        # The last block takes one row more rather than leave it alone: numpy adds up a single row in another order.
        starts = [*range(0, n - 1, _BLOCK_ROWS), n]
        for start, end in pairwise(starts):
            block = to_numbers(slice(start, end))
            if block.flags.c_contiguous:
                file.write(block.data)
                continue
            for place, column in enumerate(block.T):
                file.seek((place * n + start) * block.itemsize)
                file.write(np.ascontiguousarray(column).data)
        order: Literal["C", "F"] = "C" if block.flags.c_contiguous else "F"
        return np.frombuffer(_mapped(file, ACCESS_COPY)).reshape((n, *block.shape[1:]), order=order)


def _mapped(file: IO[bytes], access: int) -> mmap:
    file.flush()
    return mmap(file.fileno(), 0, access=access)
