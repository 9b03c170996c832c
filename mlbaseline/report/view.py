"""The display-ready form of an assessment. Every renderer draws from it and formats nothing itself.

A view is a verdict followed by sections; a section is text, tables and plots, in reading order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlbaseline.report.plots.plot import Plot

Tone = Literal["", "better", "worse", "open"]
"""What a value says about the candidate: better or passing, worse or failing, undecided; never by colour alone."""


@dataclass(frozen=True, slots=True)
class Column:
    """numeric: aligned right. code: holds identifiers. rank: in a narrow terminal the highest ranks go first.

    wide: holds sentences, so that it may take the room that is left.
    """

    title: str
    numeric: bool = False
    code: bool = False
    rank: int = 5
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """text: the value. detail: what qualifies it, such as its interval. heat: −3 (worse) to 3 (better) as a tint.

    link: address of the page that explains the value.
    """

    text: str
    detail: str = ""
    tone: Tone = ""
    heat: int = 0
    link: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The first cell heads the row. emphasis: the row that the verdict is about."""

    cells: tuple[Cell, ...]
    emphasis: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """collapsed: shown folded where the medium can fold. notes: what a reader needs beside it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    collapsed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_narrow(self) -> bool:
        """Whether its columns would stand far apart on a whole page."""
        return len(self.columns) <= 4 and not any(column.wide for column in self.columns)


@dataclass(frozen=True, slots=True)
class Steps:
    """An ordered list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of an answer. differs: the other side's answer does not have it."""

    text: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One rung's answer to an example. note: its score, probability and what its other seeds did."""

    rung: str
    parts: tuple[TextPart, ...]
    note: str
    tone: Tone

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class ExampleView:
    """One example. group: index of its change in `ExampleList.groups`; slices: indices in `ExampleList.slices`.

    label: the change in words. input: empty where it is not known.
    """

    example_id: str
    group: int
    slices: tuple[int, ...]
    label: str
    tone: Tone
    input: str
    target: str
    answers: tuple[AnswerView, AnswerView]


@dataclass(frozen=True, slots=True)
class ExampleList:
    """Examples of two rungs that a reader can filter. name: unique on the page, a valid part of an id.

    groups, slices: what can be filtered by, with counts of what is shown. summary: counts over all examples.
    """

    name: str
    caption: str
    summary: str
    groups: tuple[str, ...]
    slices: tuple[str, ...]
    items: tuple[ExampleView, ...]


Block = str | Table | Steps | Plot | ExampleList


@dataclass(frozen=True, slots=True)
class Section:
    """key: its stable anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the summary under the verdict."""

    label: str
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class View:
    """What a report shows.

    title: the decision in a few words. sentence: what, over what, by how much, at what cost, and what was not shown.
    reason: by which rules, empty where the sentence has it. sections: in reading order, none empty. subject: what is
    said about the suite.
    """

    suite: str
    title: str
    sentence: str
    reason: str
    tone: Tone
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    subject: str = "Baseline comparison of"

    @property
    def plots(self) -> tuple[Plot, ...]:
        return tuple(block for section in self.sections for block in section.blocks if isinstance(block, Plot))

    def section(self, key: str) -> Section | None:
        return next((section for section in self.sections if section.key == key), None)
