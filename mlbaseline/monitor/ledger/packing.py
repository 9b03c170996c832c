"""The events of a day as one packed table, and packed days as arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc
from sqlalchemy import Connection, select

from mlbaseline.monitor.event_arrays import EventArrays, ScoreArrays
from mlbaseline.monitor.ledger.schema import EVENTS, LABELS, SLICE_SETS
from mlbaseline.results import SCORE

_ROWS = 50_000
_KNOWN = "known_us."
_TYPES = {
    "time_us": pa.int64(),
    "is_candidate": pa.bool_(),
    "share": pa.float64(),
    "unit": pa.int64(),
    "has_unit": pa.bool_(),
    "experiment": pa.string(),
    "error": pa.bool_(),
    "latency_s": pa.float64(),
    "cost_usd": pa.float64(),
    "tokens_in": pa.float64(),
    "tokens_out": pa.float64(),
    "slice_set": pa.int32(),
}


def gather_day(connection: Connection, day: int) -> pa.Table:
    """Read the events of a day from their rows, in time order, with the latest label of each score."""
    columns = [EVENTS.c.id, *(EVENTS.c[name] for name in _TYPES)]
    query = select(*columns).where(EVENTS.c.day == day).order_by(EVENTS.c.time_us, EVENTS.c.request_id)
    batches, ids = [], []
    for rows in connection.execute(query, execution_options={"yield_per": _ROWS}).partitions():
        by_column = list(zip(*rows, strict=True))
        ids.append(np.array(by_column[0], dtype=np.int64))
        arrays = [pa.array(values, kind) for values, kind in zip(by_column[1:], _TYPES.values(), strict=True)]
        batches.append(pa.record_batch(arrays, names=list(_TYPES)))
    table = pa.Table.from_batches(batches, schema=pa.schema(list(_TYPES.items())))
    if not batches:
        return table
    return _with_labels(connection, day, table, np.concatenate(ids))


def _with_labels(connection: Connection, day: int, table: pa.Table, ids: np.ndarray) -> pa.Table:
    order = np.argsort(ids)
    time_us = table["time_us"].to_numpy()
    columns: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    query = (
        select(EVENTS.c.id, LABELS.c.score_name, LABELS.c.score, LABELS.c.label_us)
        .join(LABELS, LABELS.c.request_id == EVENTS.c.request_id)
        .where(EVENTS.c.day == day)
        .order_by(LABELS.c.label_us, LABELS.c.assessment)  # the latest comes last, and stays
    )
    for rows in connection.execute(query, execution_options={"yield_per": _ROWS}).partitions():
        event_ids, names, scores, label_us = zip(*rows, strict=True)
        positions = order[np.searchsorted(ids, np.array(event_ids, dtype=np.int64), sorter=order)]
        names_of, codes = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
        for code, name in enumerate(names_of.tolist()):
            if name not in columns:
                columns[name] = np.full(len(ids), np.nan), np.full(len(ids), -1, dtype=np.int64)
            at = codes == code
            where = positions[at]
            columns[name][0][where] = np.array(scores, dtype=float)[at]
            columns[name][1][where] = np.maximum(np.array(label_us, dtype=np.int64)[at], time_us[where])
    for name, (score, known_us) in sorted(columns.items()):
        table = table.append_column(SCORE + name, pa.array(score)).append_column(_KNOWN + name, pa.array(known_us))
    return table


def pack(table: pa.Table) -> bytes:
    """Write a day's table as bytes."""
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack(packed: bytes) -> pa.Table | None:
    """Read a day's table from bytes; None where they are damaged: the rows can still be gathered."""
    try:
        table = ipc.open_stream(packed).read_all()
    except (pa.ArrowException, OSError):
        return None
    return table if set(_TYPES) <= set(table.column_names) else None


def read_slice_sets(connection: Connection) -> dict[int, Mapping[str, str]]:
    """Read every combination of slice ─▶ value by its number."""
    rows = connection.execute(select(SLICE_SETS.c.id, SLICE_SETS.c.content))
    return {number: json.loads(content) for number, content in rows}


def as_arrays(days: Sequence[pa.Table], slice_sets: Mapping[int, Mapping[str, str]]) -> EventArrays:
    """Put packed days, in order, together as arrays."""
    schema = pa.schema(list(_TYPES.items()))
    table = pa.concat_tables(days, promote_options="default") if days else schema.empty_table()
    experiment = table["experiment"].combine_chunks().dictionary_encode()
    numbers = np.array(sorted(slice_sets), dtype=np.int64)
    names = [name.removeprefix(SCORE) for name in table.column_names if name.startswith(SCORE)]

    def column(name: str, kind: type[Any], missing: float | None = None) -> np.ndarray:
        values = table[name] if missing is None else table[name].fill_null(missing)
        return np.asarray(values.to_numpy(), dtype=kind)

    return EventArrays(
        time_us=column("time_us", np.int64),
        is_candidate=column("is_candidate", np.bool_),
        share=column("share", np.float64, np.nan),
        unit=column("unit", np.int64),
        has_unit=column("has_unit", np.bool_),
        experiment=np.asarray(experiment.indices.to_numpy(zero_copy_only=False), dtype=np.int64),
        error=column("error", np.bool_),
        latency_s=column("latency_s", np.float64, np.nan),
        cost_usd=column("cost_usd", np.float64, np.nan),
        tokens_in=column("tokens_in", np.float64, np.nan),
        tokens_out=column("tokens_out", np.float64, np.nan),
        slice_set=np.searchsorted(numbers, column("slice_set", np.int64)),
        experiments=tuple(experiment.dictionary.to_pylist()),
        slice_sets=tuple(slice_sets[number] for number in numbers.tolist()),
        scores={
            name: ScoreArrays(column(SCORE + name, np.float64, np.nan), column(_KNOWN + name, np.int64, -1))
            for name in names
        },
    )
