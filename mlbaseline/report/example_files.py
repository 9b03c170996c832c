"""ExamplePair ─▶ CSV, JSON Lines, and text for a terminal."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pydantic_core import to_json
from rich import box
from rich.table import Table as Grid
from rich.text import Text

from mlbaseline import formats
from mlbaseline.records import Change, ExampleAnswer, ExampleChange, ExamplePair
from mlbaseline.report.sections.example_lists import CHANGES, summary_of
from mlbaseline.report.terminal import text_console

_STYLES = {"better": "blue", "worse": "red", "open": "yellow", "": ""}
_SHOWN = 30
Value = str | float | None


def examples_csv(pair: ExamplePair) -> str:
    """Render every example as a row of CSV.

    Args:
        pair: The examples of two rungs.

    Returns:
        CSV with a header, its lines ended as RFC 4180 says. A text that a spreadsheet would take for a formula starts
        with an apostrophe.
    """
    rows = [_flat(pair, example) for example in pair.examples]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["example_id"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def examples_jsonl(pair: ExamplePair) -> str:
    """Render every example as a line of JSON, with the names of both rungs; no NaN: a missing number is null."""
    head = {"candidate_rung": pair.candidate, "baseline_rung": pair.baseline, "metric": pair.metric}
    return "".join(to_json(head | _flat(pair, e), inf_nan_mode="null").decode() + "\n" for e in pair.examples)


def examples_text(pair: ExamplePair, *, colour: bool, width: int) -> str:
    """Render 30 examples as a table: the first of each kind of change, so that losses stand beside wins.

    Args:
        pair: The examples of two rungs.
        colour: Whether to write ANSI colours.
        width: Of the terminal, in characters.

    Returns:
        Text that ends with a newline.
    """
    console = text_console(colour=colour, width=width)
    console.print(Text(f"{formats.clean(pair.candidate)} over {formats.clean(pair.baseline)}", style="bold"))
    console.print(Text(summary_of(pair)))
    console.print()
    if pair.examples:
        console.print(_grid(pair))
    if len(pair.examples) > _SHOWN:
        console.print(Text(f"… and {len(pair.examples) - _SHOWN:,} more: -o FILE.csv or FILE.jsonl writes all."))
    note = "Exploratory: rules written after reading examples need other examples to be tested on."
    console.print(Text(note if pair.examples else "No example is one of these."))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in printed.splitlines()) + "\n"


def _grid(pair: ExamplePair) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    for title, ratio in (("Change", None), ("Input", 5), ("Right", 2), (pair.candidate, 2), (pair.baseline, 2)):
        grid.add_column(Text(formats.clean(title)), ratio=ratio, no_wrap=ratio is None, overflow="fold")
    for example in _first_of_each_change(pair.examples):
        label, tone = CHANGES[example.change]
        texts = (example.input or example.example_id, example.target)
        answers = (example.candidate, example.baseline)
        grid.add_row(Text(label, style=_STYLES[tone]), *map(_short, texts), *map(_answer, answers))
    return grid


def _first_of_each_change(examples: Sequence[ExampleChange]) -> list[ExampleChange]:
    """Take as many of each kind of change as there is room for, in the order given."""
    ranks: Counter[Change] = Counter()
    ranked = []
    for position, example in enumerate(examples):
        ranked.append((ranks[example.change], position))
        ranks[example.change] += 1
    return [examples[position] for position in sorted(position for _, position in sorted(ranked)[:_SHOWN])]


def _flat(pair: ExamplePair, example: ExampleChange) -> dict[str, Value]:
    row: dict[str, Value] = {
        "example_id": example.example_id,
        "change": example.change.value,
        "difference": example.difference,
        "input": example.input,
        "target": example.target,
        **{f"slice.{name}": value for name, value in example.slices.items()},
    }
    for side, answer in (("candidate", example.candidate), ("baseline", example.baseline)):
        row |= {f"{side}.{name}": value for name, value in _answer_columns(pair.metric, answer)}
    return row


def _answer_columns(metric: str, answer: ExampleAnswer) -> Iterator[tuple[str, Value]]:
    yield "prediction", answer.prediction
    yield metric, answer.score
    if len(answer.seed_scores) > 1:
        yield from ((f"{metric}.seed_{number}", score) for number, score in enumerate(answer.seed_scores))
    yield from ((f"probability.{label}", share) for label, share in answer.probabilities.items())
    yield "error", answer.error


def _cell(value: Value) -> Value:
    return formats.spreadsheet_text(value) if isinstance(value, str) else value


def _short(text: str) -> Text:
    line = formats.clean(text)
    return Text(line if len(line) <= 160 else line[:159] + "…")


def _answer(answer: ExampleAnswer) -> Text:
    if answer.prediction is None:
        return Text("error" if answer.error else formats.MISSING, style="dim")
    text = _short(answer.prediction)
    share = answer.probabilities.get(answer.prediction)
    return text if share is None else text.append(f" ({formats.fixed(share, 2)})", style="dim")


def counts_document(pair: ExamplePair) -> Mapping[str, int]:
    """Give the counts of a pair by the name of the change."""
    return {change.value: count for change, count in pair.counts.items()}
