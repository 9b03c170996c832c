"""Section `classes`: which classes each rung gets right, and which it takes for which."""

from __future__ import annotations

from mlbaseline import formats
from mlbaseline.records import Confusion, Role
from mlbaseline.report.presenter import Presenter, listed
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Section, Table

_MAX_CLASSES = 12
"""A wider matrix is not read."""


def class_section(presenter: Presenter) -> Section | None:
    """Build the scores by class of every rung, and the confusion matrices of the rungs in the primary contrasts."""
    examples = presenter.assessment.examples
    if examples is None or not examples.confusions:
        return None
    blocks: list[Block] = [_score_table(presenter, examples.confusions)]
    primary = [row for row in presenter.registered if row.role == Role.PRIMARY]
    names = dict.fromkeys(name for row in primary for name in (row.candidate, row.baseline))
    by_name = {confusion.baseline: confusion for confusion in examples.confusions}
    shown = [by_name[name] for name in names if name in by_name]
    if len(examples.confusions[0].labels) <= _MAX_CLASSES:
        blocks += [_matrix(confusion) for confusion in shown]
    return Section("classes", "By class", tuple(blocks))


def missed_classes_fact(presenter: Presenter, name: str | None) -> Fact | None:
    """Name the classes of the test that a rung answers to no example: `lora: positive (47 of 300 test examples)`."""
    examples = presenter.assessment.examples
    confusion = next((one for one in examples.confusions if one.baseline == name), None) if examples else None
    if confusion is None:
        return None
    sizes = [sum(row) for row in confusion.counts]
    missed = [
        f"{formats.plain(label)} ({sizes[i]:,} of {sum(sizes):,} test examples)"
        for i, label in enumerate(confusion.labels)
        if sizes[i] and not any(row[i] for row in confusion.counts)
    ]
    return (
        Fact("Classes never answered", f"{formats.clean(confusion.baseline)}: {listed(missed)}", "worse")
        if missed
        else None
    )


def _score_table(presenter: Presenter, confusions: tuple[Confusion, ...]) -> Table:
    labels = confusions[0].labels
    columns = (
        Column("Rung", code=True),
        *(
            Column(f"{formats.plain(label)} (n {sum(confusions[0].counts[i]):,})", numeric=True)
            for i, label in enumerate(labels)
        ),
    )
    rows = tuple(
        Row(
            (Cell(formats.clean(confusion.baseline)), *(_class_cell(confusion, i) for i in range(len(labels)))),
            emphasis=confusion.baseline == presenter.assessment.verdict.winner,
        )
        for confusion in confusions
    )
    note = (
        "Recall: the share of a class that is answered with it. Precision: the share of these answers that are right. "
        "Of the checkpoint that stands for each rung; without intervals, exploratory."
    )
    return Table("Recall of every class, with precision", columns, rows, collapsed=False, notes=(note,))


def _class_cell(confusion: Confusion, position: int) -> Cell:
    right = confusion.counts[position][position]
    n, answered = sum(confusion.counts[position]), sum(row[position] for row in confusion.counts)
    recall = formats.fixed(right / n, 2) if n else formats.MISSING
    if not answered:
        return Cell(recall, "never answered", "worse" if n else "")
    return Cell(recall, f"precision {formats.fixed(right / answered, 2)}")


def _matrix(confusion: Confusion) -> Table:
    """Rows are the right classes, columns the answers; the tint is the share of its row, right ones blue."""
    others = any(row[-1] for row in confusion.counts)
    names = [*map(formats.plain, confusion.labels), *(["none of them"] if others else [])]
    columns = (Column("Right class"), *(Column(name, numeric=True) for name in names))
    rows = []
    for i, label in enumerate(confusion.labels):
        n = sum(confusion.counts[i])
        cells = [
            Cell(
                formats.count(count),
                f"({formats.percent(round(count / n, 2))})" if n else "",
                heat=round((3 if i == j else -3) * count / n) if n else 0,
            )
            for j, count in enumerate(confusion.counts[i][: len(names)])
        ]
        rows.append(Row((Cell(formats.plain(label)), *cells)))
    caption = f"Answers of {formats.clean(confusion.baseline)} by right class"
    return Table(caption, columns, tuple(rows), collapsed=True)
