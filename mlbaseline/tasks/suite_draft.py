"""A first suite from a data file: what its columns are, and what follows from that. Each guess says why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from mlbaseline.errors import DataError
from mlbaseline.tasks.data_errors import no_column, quoted, visible_form
from mlbaseline.tasks.data_files import DataTable
from mlbaseline.values import as_text, is_missing

Kind = Literal["choice", "generate", "perplexity"]
KINDS: tuple[Kind, ...] = get_args(Kind)

TARGET_NAMES = (
    *("label", "target", "class", "category", "sentiment", "intent", "queue"),
    *("answer", "output", "response", "completion", "reference", "summary", "gold"),
)
"""Names of columns that usually hold the right answer, the more usual ones first."""
TEXT_NAMES = ("text", "prompt", "question", "input", "instruction", "sentence", "body", "message", "review", "tweet")
CLUSTER_NAMES = ("user", "author", "customer", "session", "conversation", "thread", "document", "passage", "group")
MOST_CHOICES, LONGEST_CHOICE, ROWS_PER_CHOICE = 20, 40, 5
MOST_SLICES, SMALLEST_SLICE = 8, 0.05
FEWEST_ROWS = 20


@dataclass(frozen=True)
class DataColumn:
    """A column of the data.

    Attributes:
        name: As in the header.
        texts: Its cells (rows,), None where a cell is empty.
    """

    name: str
    texts: Sequence[str | None]

    @cached_property
    def counts(self) -> Counter[str]:
        """Each value ─▶ its number of rows."""
        return Counter(text for text in self.texts if text is not None)

    @cached_property
    def labels(self) -> Mapping[str, Counter[str]]:
        """Each label, in its most frequent spelling ─▶ its spellings, which differ in case and white space only."""
        alike: dict[str, Counter[str]] = {}
        for text, count in self.counts.most_common():
            alike.setdefault(visible_form(text), Counter())[text] += count
        return {next(iter(spellings)).strip(): spellings for spellings in alike.values()}

    @property
    def filled(self) -> int:
        """Number of cells that are not empty."""
        return self.counts.total()

    @cached_property
    def lengths(self) -> list[int]:
        """Characters of each cell that is not empty, the shortest first."""
        return sorted(len(text) for text in self.texts if text is not None)

    @property
    def mean_length(self) -> float:
        return sum(self.lengths) / max(len(self.lengths), 1)

    @property
    def is_number(self) -> bool:
        return all(re.fullmatch(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", text) for text in self.counts)

    @property
    def holds_choices(self) -> bool:
        """Tell whether its values are few, short, and each there often enough to be learned."""
        values = self.labels
        return (
            2 <= len(values) <= MOST_CHOICES
            and max(map(len, values)) <= LONGEST_CHOICE
            and self.filled >= ROWS_PER_CHOICE * len(values)
        )

    def is_named(self, names: Sequence[str]) -> bool:
        return any(re.search(rf"(^|[^a-z]){name}s?($|[^a-z])", self.name.lower()) for name in names)


@dataclass(frozen=True)
class Guess:
    """One thing that a draft took from the data. key: of the suite file. why: half a sentence."""

    key: str
    value: str
    why: str


@dataclass(frozen=True)
class SuiteDraft:
    """What a data file seems to hold.

    Attributes:
        kind: Kind of the task.
        text: Column that the model reads.
        target: Column with the right answer; the text itself for `perplexity`.
        cluster: Column that names groups of dependent rows, if there is one.
        choices: What an answer may be, for `choice`.
        target_map: Other spellings of choices ─▶ the choice.
        slices: Columns whose values cut the test into groups.
        varies_in_length: Whether a third of the texts is longer than another third.
        longest_target: Characters that all but 5 % of the targets have at most.
        n_rows: Rows with a text and a target.
        guesses: What was guessed, in the order of the file.
    """

    kind: Kind
    text: str
    target: str
    cluster: str | None
    choices: tuple[str, ...]
    target_map: Mapping[str, str]
    slices: tuple[str, ...]
    varies_in_length: bool
    longest_target: int
    n_rows: int
    guesses: tuple[Guess, ...] = field(default=())


def draft_suite(
    table: DataTable, *, text: str | None = None, target: str | None = None, kind: Kind | None = None
) -> SuiteDraft:
    """Guess a task from the columns of a data file.

    Args:
        table: The rows.
        text: Column that the model reads. None: guessed.
        target: Column with the right answer. None: guessed.
        kind: Kind of the task. None: guessed from the target.

    Raises:
        DataError: A named column is not there, several columns could be the target, or there are too few rows.
    """
    columns = {name: DataColumn(name, [_text(row[name]) for _, row in table.rows]) for name in table.columns}
    for name in (text, target):
        if name is not None and name not in columns:
            raise DataError(f"{table.path}: {no_column(name, columns)}")
    full = [column for column in columns.values() if column.filled > len(table.rows) / 2]
    answer, why_answer = (columns[target], "as given") if target else _find_target(table, full, text, kind)
    read, why_read = (columns[text], "as given") if text else _find_text(table, full, answer)
    kind, why_kind = (kind, "as given") if kind else _kind_of(answer, read)
    answer = answer or read
    if kind == "choice" and not 2 <= len(answer.labels) <= answer.filled / 2:
        raise DataError(
            f"{table.path}: the column {answer.name!r} has {len(answer.labels):,} different values; a task of kind "
            "`choice` needs at least 2 that repeat. Choose another --target, or --kind generate"
        )
    n_rows = sum(a is not None and b is not None for a, b in zip(read.texts, answer.texts, strict=True))
    if n_rows < FEWEST_ROWS:
        raise DataError(f"{table.path}: expected at least {FEWEST_ROWS} rows with a text and a target, got {n_rows}")
    others = [column for column in full if column.name not in (read.name, answer.name)]
    cluster = next((column for column in others if _is_cluster(column)), None)
    slices = [column for column in others if column is not cluster and _makes_slices(column)]
    guesses = [Guess("task.kind", kind, why_kind), Guess("task.columns.text", read.name, why_read)]
    if kind != "perplexity":
        guesses.append(Guess("task.columns.target", answer.name, why_answer))
    choices = tuple(sorted(answer.labels)) if kind == "choice" else ()
    spelled = {text: label for label in choices for text in sorted(answer.labels[label]) if text != label}
    if choices:
        guesses.append(Guess("task.choices", ", ".join(choices), f"the values of {answer.name!r}"))
    if spelled:
        differ = "these values differ from a choice in case or white space only"
        guesses.append(Guess("task.target_map", ", ".join(spelled), differ))
    if cluster is not None:
        repeats = f"{len(cluster.counts):,} values over {cluster.filled:,} rows: rows of one value depend on each other"
        guesses.append(Guess("task.columns.cluster", cluster.name, repeats))
    for column in slices:
        guesses.append(Guess(f"task.slices.{column.name}", column.name, f"{len(column.counts)} values, none rare"))
    lengths, target_lengths = read.lengths, answer.lengths
    return SuiteDraft(
        kind=kind,
        text=read.name,
        target=answer.name,
        cluster=cluster.name if cluster is not None else None,
        choices=choices,
        target_map=spelled,
        slices=tuple(column.name for column in slices),
        varies_in_length=lengths[len(lengths) // 4] < lengths[len(lengths) // 2] < lengths[3 * len(lengths) // 4],
        longest_target=target_lengths[int(0.95 * (len(target_lengths) - 1))],
        n_rows=n_rows,
        guesses=tuple(guesses),
    )


def _text(cell: object) -> str | None:
    return None if is_missing(cell) else as_text(cell)


def _find_target(
    table: DataTable, columns: Sequence[DataColumn], text: str | None, kind: Kind | None
) -> tuple[DataColumn | None, str]:
    """Find the column with the right answer. None: there is none, so that the texts themselves are the task."""
    if kind == "perplexity":
        return None, ""
    free = [column for column in columns if column.name != text]
    for name in TARGET_NAMES:
        for column in free:
            if column.is_named([name]) and (column.holds_choices or not column.is_number):
                return column, "a usual name for the right answer"
    few = [column for column in free if column.holds_choices]
    if len(few) == 1:
        return few[0], "the only column with few, short values"
    if not few and len([column for column in free if not column.is_number]) <= (text is None):
        return None, ""
    raise DataError(
        f"{table.path}: which column holds the right answer? Name it with --target, or say --kind perplexity. "
        f"There are: {', '.join(f'{column.name!r} ({len(column.counts):,} values)' for column in free)}"
    )


def _find_text(table: DataTable, columns: Sequence[DataColumn], target: DataColumn | None) -> tuple[DataColumn, str]:
    free = [column for column in columns if column is not target and not column.is_number]
    if not free:
        raise DataError(f"{table.path}: no column holds texts beside the target; there are: {quoted(table.columns)}")
    longest = max(free, key=lambda column: column.mean_length)
    for name in TEXT_NAMES:
        for column in free:
            if column.is_named([name]) and column.mean_length >= longest.mean_length / 4:
                return column, "a usual name for what a model reads"
    return longest, f"the longest texts: {longest.mean_length:.0f} characters on average"


def _kind_of(target: DataColumn | None, text: DataColumn) -> tuple[Kind, str]:
    if target is None:
        return "perplexity", f"nothing but texts: {text.name!r}"
    n_values = len(target.labels)
    if target.holds_choices:
        return "choice", f"{target.name!r} has {n_values} different values"
    return "generate", f"{target.name!r} has {n_values:,} different values"


def _is_cluster(column: DataColumn) -> bool:
    n_values = len(column.counts)
    return column.is_named(CLUSTER_NAMES) and MOST_SLICES < n_values <= 0.9 * column.filled


def _makes_slices(column: DataColumn) -> bool:
    values = column.counts
    return 2 <= len(values) <= MOST_SLICES and min(values.values()) >= SMALLEST_SLICE * column.filled
