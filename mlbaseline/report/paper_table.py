"""Assessment ─▶ a table for a paper: means with intervals, marks for differences, and a caption that says how."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from string import ascii_lowercase

from mlbaseline import formats
from mlbaseline.records import Assessment, Comparison, Estimand, Estimate, Role, Standing
from mlbaseline.report.bounds import clip_intervals
from mlbaseline.report.presenter import Presenter, listed

_CORRECTIONS = {
    "holm": "Holm's correction",
    "romano_wolf": "Romano and Wolf's step-down correction",
    "none": "no correction",
}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "−": r"$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "—": "---", "×": r"$\times$",
    "∞": r"$\infty$", "Δ": r"$\Delta$", "≤": r"$\leq$", "≥": r"$\geq$", "…": r"\ldots{}",
}  # fmt: skip

_HUMAN = "human"
_MAX_BESIDE = 2
"""Metrics whose intervals stand beside their values in LaTeX: of more, a page of an article has room below only."""


class TableFormat(str, Enum):
    """How a table for a paper is written."""

    LATEX = "latex"
    MARKDOWN = "markdown"
    CSV = "csv"


def render_paper_table(assessment: Assessment, table_format: TableFormat, *, correction: str) -> str:
    """Render every rung with its metrics: means over seeds, intervals, and marks for what a candidate beats.

    Args:
        assessment: what a comparison found.
        table_format: LaTeX needs the package booktabs. CSV has a row for each rung and metric, with unrounded numbers.
        correction: of the primary family, as the suite writes it: `holm`, `romano_wolf` or `none`.

    Returns:
        The table with its caption (CSV: without); ends with a newline.
    """
    presenter = Presenter(clip_intervals(assessment))
    table = _table_of(presenter, correction)
    match table_format:
        case TableFormat.LATEX:
            return _latex(table)
        case TableFormat.MARKDOWN:
            return _markdown(table)
        case TableFormat.CSV:
            return _csv(presenter)


@dataclass(frozen=True)
class _Score:
    """text, interval: value and what follows it. marks: letters of the baselines that it beats."""

    text: str
    interval: str = ""
    marks: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class _PaperTable:
    """rows: rung, seeds, and a score for each metric."""

    name: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[_Score, ...]], ...]
    caption: str


def _table_of(presenter: Presenter, correction: str) -> _PaperTable:
    standings, metrics = presenter.assessment.standings, presenter.metrics
    beaten = {
        (standing.baseline, metric): _beaten(presenter, standing.baseline, metric)
        for standing in standings
        for metric in metrics
    }
    names = {name for rivals in beaten.values() for name in rivals}
    letters = dict(zip([s.baseline for s in standings if s.baseline in names], _letters(), strict=False))
    best = {metric: _best(presenter, metric) for metric in metrics}
    rows = [
        (
            formats.clean(s.baseline),
            formats.count(len(s.run_ids)),
            tuple(
                replace(
                    _score(presenter, s, metric, _marks(beaten[s.baseline, metric], letters)),
                    is_best=s.baseline in best[metric],
                )
                for metric in metrics
            ),
        )
        for s in standings
    ]
    for score in presenter.assessment.published:
        value = _Score(formats.fixed(score.value, presenter.level_decimals(score.metric)), "(published)")
        own = tuple(value if metric == score.metric else _Score(formats.MISSING) for metric in metrics)
        rows.append((formats.clean(score.baseline), formats.MISSING, own))
    return _PaperTable(
        name=re.sub(r"[^A-Za-z0-9-]+", "-", presenter.assessment.suite).strip("-") or "suite",
        metrics=tuple(presenter.metric(metric) for metric in metrics),
        rows=tuple(rows),
        caption=_caption(presenter, letters, correction),
    )


def _letters() -> list[str]:
    return [*ascii_lowercase, *(a + b for a in ascii_lowercase for b in ascii_lowercase)]


def _score(presenter: Presenter, standing: Standing, metric: str, marks: str) -> _Score:
    cell = presenter.estimate(metric, standing.metrics.get(metric))
    return _Score(cell.text, cell.detail, marks)


def _marks(beaten: Mapping[str, bool], letters: Mapping[str, str]) -> str:
    """`a,b,(c)`: exploratory ones in brackets."""
    return ",".join(letter if beaten[name] else f"({letter})" for name, letter in letters.items() if name in beaten)


def _beaten(presenter: Presenter, candidate: str, metric: str) -> dict[str, bool]:
    """Baselines that a candidate is shown to beat by a metric ─▶ whether that was registered as a primary contrast.

    By the recipe, whose means over seeds the table shows; by the checkpoint where nothing has several seeds.
    """
    rows: dict[str, Comparison] = {}
    ranked = sorted(presenter.overall, key=lambda row: (row.estimand == Estimand.RECIPE, row.role == Role.PRIMARY))
    for row in ranked:
        if row.candidate == candidate and row.metric == metric:
            rows[row.baseline] = row
    return {name: row.role == Role.PRIMARY for name, row in rows.items() if presenter.reading(row) == "better"}


def _best(presenter: Presenter, metric: str) -> frozenset[str]:
    """Name the systems with the best value of a metric. What people reach is no system, and often of other examples."""
    systems = [s for s in presenter.assessment.standings if s.kind != _HUMAN and metric in s.metrics]
    values = {s.baseline: s.metrics[metric].value for s in systems if formats.finite(s.metrics[metric].value)}
    choose = max if presenter.higher_is_better(metric) else min
    best = choose(values.values(), default=None)
    return frozenset(name for name, value in values.items() if value == best)


def _caption(presenter: Presenter, letters: Mapping[str, str], correction: str) -> str:
    assessment = presenter.assessment
    people = [s for s in assessment.standings if s.kind == _HUMAN]
    systems = [s for s in assessment.standings if s.kind != _HUMAN]
    estimates = [estimate for s in systems for estimate in s.metrics.values()]
    beside = [f"{formats.clean(s.baseline)}: n = {_sizes([s])}" for s in people]
    aside = f", people aside ({listed(beside)})" if people else ""
    counts = [len(s.run_ids) for s in assessment.standings]
    seeds = f"up to {max(counts)} seeds a rung" if counts and max(counts) > 1 else "one run a rung"
    clusters = "; clustered by the data's groups" if any(e.n_clusters != e.n for e in estimates) else ""
    sentences = [
        f"Results on {formats.clean(assessment.suite)}: means over seeds with {presenter.level} intervals "
        f"(n = {_sizes(systems)} test examples, {seeds}{clusters}). The best mean of each metric is bold{aside}."
    ]
    if letters:
        named = listed([f"{letter}: {formats.clean(name)}" for name, letter in letters.items()])
        alpha = formats.plain(round(1 - assessment.level, 6))
        sentences.append(
            f"Letters mark a score that is better than that of another rung on the same examples ({named}; two-sided "
            f"paired tests, adjusted p at most {alpha}): registered contrasts with "
            f"{_CORRECTIONS.get(correction, correction)} over the primary family; in brackets exploratory ones, with "
            "Benjamini and Hochberg's false discovery rate."
        )
    if letters and assessment.weighted is not None:
        sentences.append(f"Tests are of means weighted {formats.plain(assessment.weighted)}; the table's are plain.")
    if not assessment.registration.is_confirmatory:
        sentences.append("The contrasts were registered after the first evaluation, and are exploratory.")
    if assessment.published:
        sentences.append("Published scores were measured elsewhere and are not paired.")
    return " ".join(sentences)


def _sizes(standings: Sequence[Standing]) -> str:
    """Show over how many examples these rungs are scored: `300`, or `272–300`."""
    sizes = sorted({estimate.n for standing in standings for estimate in standing.metrics.values()})
    return "–".join(formats.count(size) for size in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else "0"


def _latex(table: _PaperTable) -> str:
    stacked = len(table.metrics) > _MAX_BESIDE
    lines = [
        r"\begin{table}",
        r"  \centering",
        *([r"  \small", r"  \setlength{\tabcolsep}{4pt}"] if stacked else []),
        rf"  \caption{{{_tex(table.caption)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{lr{'l' * len(table.metrics)}}}",
        r"    \toprule",
        _latex_line(["Rung", "Seeds", *map(_tex, table.metrics)]),
        r"    \midrule",
    ]
    for name, seeds, scores in table.rows:
        values, intervals = [_latex_value(one) for one in scores], [_latex_interval(one) for one in scores]
        if stacked:
            lines += [_latex_line([_tex(name), _tex(seeds), *values]), _latex_line(["", "", *intervals])]
        else:
            both = [f"{value} {interval}".rstrip() for value, interval in zip(values, intervals, strict=True)]
            lines.append(_latex_line([_tex(name), _tex(seeds), *both]))
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _latex_value(one: _Score) -> str:
    value = rf"\textbf{{{_tex(one.text)}}}" if one.is_best else _tex(one.text)
    return value + (rf"\textsuperscript{{{_tex(one.marks)}}}" if one.marks else "")


def _latex_interval(one: _Score) -> str:
    return rf"{{\scriptsize {_tex(one.interval)}}}" if one.interval else ""


def _tex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in text)


def _markdown(table: _PaperTable) -> str:
    def escape(text: str) -> str:
        return re.sub(r"([\\`*_{}\[\]<>#|~$!])", r"\\\1", text)

    def score(one: _Score) -> str:
        value = f"**{escape(one.text)}**" if one.is_best else escape(one.text)
        return (
            value
            + (f"<sup>{escape(one.marks)}</sup>" if one.marks else "")
            + (f" {escape(one.interval)}" if one.interval else "")
        )

    return (
        _pipe_table(
            ["Rung", "Seeds", *map(escape, table.metrics)],
            [[escape(name), seeds, *map(score, scores)] for name, seeds, scores in table.rows],
        )
        + f"\n{escape(table.caption)}\n"
    )


def _pipe_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line: Callable[[Sequence[str]], str] = lambda cells: f"| {' | '.join(cells)} |\n"  # noqa: E731
    return line(header) + line(["---", "---:", *["---"] * (len(header) - 2)]) + "".join(map(line, rows))


def _csv(presenter: Presenter) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = ("rung", "kind", "metric", "value", "low", "high", "level", "n", "n_clusters", "seeds", "seed_std")
    writer.writerow([*columns, "better_than", "better_than_exploratory"])
    for standing in presenter.assessment.standings:
        for metric in presenter.metrics:
            estimate = standing.metrics.get(metric)
            if estimate is not None:
                writer.writerow(_csv_row(presenter, standing, metric, estimate))
    for score in presenter.assessment.published:
        known = [*map(_name, (score.baseline, "external", score.metric)), score.value, "", "", "", score.n or ""]
        writer.writerow([*known, *[""] * (len(columns) - len(known)), "", ""])
    return stream.getvalue()


def _csv_row(presenter: Presenter, standing: Standing, metric: str, estimate: Estimate) -> list[object]:
    beaten = _beaten(presenter, standing.baseline, metric)
    registered, exploratory = ([name for name, known in beaten.items() if known == wanted] for wanted in (True, False))
    return [
        *map(_name, (standing.baseline, standing.kind, metric)),
        *(estimate.value, estimate.low, estimate.high, estimate.level),
        *(estimate.n, estimate.n_clusters, len(standing.run_ids), standing.seed_std.get(metric, "")),
        *(";".join(map(_name, names)) for names in (registered, exploratory)),
    ]


def _name(text: str) -> str:
    return formats.spreadsheet_text(formats.clean(text))
