"""The examples of a split in an Arrow table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from mlbaseline.records.answers import Example
from mlbaseline.records.fields import NO_FIELDS, Fields
from mlbaseline.records.tables.memory_mapped import Positions, take_rows
from mlbaseline.records.tables.packed import (
    BLOCK_ROWS,
    PackedSequence,
    list_json,
    list_values,
    pack,
    sort_rows,
    to_json,
)

if TYPE_CHECKING:
    import pyarrow as pa

SLICE_COLUMN = "slice."
_OPTIONAL = ("cluster", "choices", "references", "weight")


class ExampleTable(PackedSequence[Example]):
    """Examples, each of which is made when it is read.

    The table has the columns `id`, `values` (JSON: of the fields, in their order) and `target`; where examples have
    them, `cluster`, `choices`, `references`, `weight` and `slice.<name>`. Further columns do not count.
    """

    def __init__(
        self,
        table: pa.Table,
        names: Mapping[str, int] | None,
        choices: tuple[str, ...] = (),
        order: Positions | None = None,
    ) -> None:
        """Take a table as it is.

        Args:
            table: With the columns of above.
            names: Field ─▶ its position in `values`; None: `values` have the names themselves.
            choices: Of the examples that have none of their own.
            order: The rows that count, in their order; None: all rows.
        """
        super().__init__(table, order)
        self._names, self._choices = names, choices
        slices = [name for name in table.column_names if name.startswith(SLICE_COLUMN)]
        self._slices = {name.removeprefix(SLICE_COLUMN): place for place, name in enumerate(slices)}

    @classmethod
    def of(cls, examples: Sequence[Example]) -> ExampleTable:
        """Return examples as a table."""
        if isinstance(examples, ExampleTable):
            return examples
        slices = tuple(examples[0].slices) if examples else ()
        rows = (
            (
                *(e.id, to_json(dict(e.fields)), e.target, e.cluster, e.choices or None, e.references or None),
                *(e.weight, *(e.slices[name] for name in slices)),
            )
            for e in examples
        )
        return cls(without_empty(pack(rows, _schema(slices))), None)

    def over(self, table: pa.Table) -> ExampleTable:
        """Return the examples of another table, whose fields have the same names."""
        return ExampleTable(table, self._names, self._choices)

    def with_column(self, name: str, values: pa.ChunkedArray) -> ExampleTable:
        """Return the examples with one more column. values: in their order."""
        assert self._order is None, "a view"
        return self.over(self.table.append_column(name, values))

    def take(self, positions: Positions) -> ExampleTable:
        """Return some of the examples, in the order given."""
        rows = positions if self._order is None else self._order[positions]
        return self.over(take_rows(self.table, rows))

    def by_id(self) -> ExampleTable:
        """Return a view of the examples in the order of their ids."""
        return ExampleTable(self.table, self._names, self._choices, sort_rows(self.table["id"]))

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return columns of the table, in the order of the examples; those that it lacks have no value."""
        known = self.table.select([name for name in names if name in self.table.column_names])
        found = known if self._order is None else take_rows(known, self._order)
        for column in _schema(tuple(self._slices)):
            if column.name in names and column.name not in found.column_names:
                found = found.append_column(column, _nulls(len(self), column.type))
        return found.select(names)

    def id_at(self, place: int) -> str:
        """Return the id of one example, without making the example."""
        id: str = self.table["id"][place if self._order is None else int(self._order[place])].as_py()
        return id

    @property
    def field_names(self) -> Collection[str] | None:
        """The names of the fields; None where each example has its own."""
        return self._names

    def _items(self, block: pa.Table) -> Iterator[Example]:
        def column(name: str, default: Any = None) -> Iterable[Any]:
            return list_values(block[name]) if name in block.column_names else repeat(default, block.num_rows)

        slices = [column(SLICE_COLUMN + name) for name in self._slices]
        cuts: Iterable[tuple[str, ...]] = zip(*slices, strict=True) if slices else repeat((), block.num_rows)
        columns = (column("id"), list_json(block["values"]), column("target"), *map(column, _OPTIONAL), cuts)
        for id, content, target, cluster, choices, references, weight, cut in zip(*columns, strict=True):
            yield Example(
                id,
                content if self._names is None else Fields(self._names, tuple(content)),
                target,
                tuple(choices) if choices else self._choices,
                cluster,
                Fields(self._slices, cut) if cut else NO_FIELDS,
                tuple(references or ()),
                weight,
            )


def by_id(examples: Sequence[Example]) -> Sequence[Example]:
    """Return examples in the order of their ids."""
    if isinstance(examples, ExampleTable):
        return examples.by_id()
    return sorted(examples, key=lambda example: example.id)


def select(examples: Sequence[Example], positions: Positions) -> Sequence[Example]:
    """Return the examples at some positions."""
    if isinstance(examples, ExampleTable):
        return examples.take(positions)
    return tuple(examples[position] for position in positions.tolist())


def id_at(examples: Sequence[Example], place: int) -> str:
    """Return the id of one of the examples; from a table, several times as fast as the example itself."""
    return examples.id_at(place) if isinstance(examples, ExampleTable) else examples[place].id


def field_names(examples: Sequence[Example]) -> list[str]:
    """Return the sorted names of the fields of examples."""
    if isinstance(examples, ExampleTable) and examples.field_names is not None:
        return sorted(examples.field_names)
    return sorted({name for example in examples for name in example.fields})


def columns_of(examples: Sequence[Example], names: Sequence[str]) -> pa.Table:
    """Return what examples hold as columns, in their order.

    Args:
        examples: At least one.
        names: Of columns of an `ExampleTable`, without `values`; a column that no example has is there, too.
    """
    import pyarrow as pa

    if isinstance(examples, ExampleTable):
        return examples.columns(names)

    def value(example: Example, name: str) -> Any:
        if name.startswith(SLICE_COLUMN):
            return example.slices[name.removeprefix(SLICE_COLUMN)]
        content = getattr(example, name)
        return None if content == () else content

    schema = _schema(tuple(examples[0].slices))
    rows = (tuple(value(example, name) for name in names) for example in examples)
    return pack(rows, pa.schema([schema.field(name) for name in names]))


def without_empty(table: pa.Table) -> pa.Table:
    """Drop the columns of what no example has."""
    empty = [name for name in _OPTIONAL if name in table.column_names and table[name].null_count == len(table)]
    return table.drop_columns(empty)


def _nulls(n: int, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column without a value. Its chunks are one and the same, which takes the memory of one."""
    import pyarrow as pa

    block = pa.nulls(min(n, BLOCK_ROWS), kind)
    return pa.chunked_array([block.slice(0, n - start) for start in range(0, n, BLOCK_ROWS)], kind)


def _schema(slices: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    text, texts = pa.large_string(), pa.list_(pa.large_string())
    columns = [("id", text), ("values", pa.large_binary()), ("target", text), ("cluster", text)]
    columns += [("choices", texts), ("references", texts), ("weight", pa.float64())]
    return pa.schema([*columns, *((SLICE_COLUMN + name, text) for name in slices)])
