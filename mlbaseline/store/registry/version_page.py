"""What a person reads about a promoted version in MLflow's own pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mlbaseline import formats
from mlbaseline.records import Assessment, Bounds, Comparison, Estimand, Standing
from mlbaseline.store.comparison_runs import ComparisonRun
from mlbaseline.store.comparisons import overall_contrasts
from mlbaseline.store.runs import EvaluationRun
from mlbaseline.untrusted import escape_markdown, printable

_MOVED_ON = re.compile(r"^> \*\*(?:Overtaken|Rolled back)\*\*[^\n]*\n+")
"""The first line of the page of a version that is champion no more."""


def interval_text(row: Comparison) -> str:
    """`+0.113 [+0.071, +0.155]`"""
    return f"{row.delta:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"


def describe_version(
    assessment: Assessment, winner: EvaluationRun, comparison: ComparisonRun, experiment_id: str
) -> str:
    """Markdown: why this version was promoted, over what, by how much, at what cost, and where to read more."""
    seed = "" if winner.seed is None else f", seed {winner.seed}"
    lines = [
        f"**{_shown(winner.baseline)}**{seed}, of suite {_shown(assessment.suite)}. "
        f"{_shown(assessment.verdict.reason)}",
        "",
        f"| over | metric | delta [{assessment.level:.0%} interval] | adjusted p | n | role |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in overall_contrasts(assessment.comparisons).values():
        if row.candidate == winner.baseline:
            shown = (
                _shown(row.baseline),
                _shown(row.metric),
                interval_text(row),
                formats.probability(row.p_adjusted),
                row.n,
                row.role,
            )
            lines.append(f"| {' | '.join(map(str, shown))} |")
    standing = next((one for one in assessment.standings if one.baseline == winner.baseline), None)
    runs = f"#/experiments/{experiment_id}/runs"
    return "\n".join(
        [
            *lines,
            "",
            *_weakest_slices(assessment, winner.baseline),
            *(_costs(standing) if standing else ()),
            f"[Evaluation]({runs}/{winner.run_id}) · "
            f"[comparison](#/experiments/{comparison.experiment_id}/runs/{comparison.run_id}) `{comparison.run_id}`",
        ]
    )


def as_champion(description: str) -> str:
    """Return the page of a version that is the champion."""
    return _MOVED_ON.sub("", description)


def as_former_champion(description: str, *, now: str, is_rolled_back: bool, record: str) -> str:
    """Return the page of a version that another one has followed: it begins with that, and stays true after more moves.

    Args:
        description: The page, in whatever state.
        now: The version that is champion now.
        is_rolled_back: Whether `now` was champion before.
        record: Path of the run that is the record, on the server's pages.

    Example:
        >>> page = as_former_champion("**lora**", now="2", is_rolled_back=False, record="#/experiments/1/runs/r")
        >>> print(page)
        > **Overtaken** by version 2 ([record](#/experiments/1/runs/r)).
        <BLANKLINE>
        **lora**
        >>> as_champion(page)
        '**lora**'
    """
    how = f"**Rolled back** to version {now}" if is_rolled_back else f"**Overtaken** by version {now}"
    return f"> {how} ([record]({record})).\n\n{as_champion(description)}"


def _weakest_slices(assessment: Assessment, candidate: str) -> Iterator[str]:
    rows = [row for row in assessment.comparisons if row.candidate == candidate and row.slice is not None]
    rows = [row for row in rows if row.estimand is Estimand.CHECKPOINT] or rows  # it is a checkpoint that is promoted
    for baseline in dict.fromkeys(row.baseline for row in rows):
        row = min(
            (row for row in rows if row.baseline == baseline),
            key=lambda row: row.delta if assessment.metrics.get(row.metric, True) else -row.delta,
        )
        where, by = _shown(f"{row.slice} = {row.slice_value}"), f"{_shown(row.metric)} {interval_text(row)}"
        yield f"- Weakest slice over {_shown(baseline)}: {where}, {by} (n = {row.n})"


def _costs(standing: Standing) -> Iterator[str]:
    cost = standing.cost
    if cost.usd_per_query is not None:
        batch, name = formats.query_batch([cost.usd_per_query])
        between = _between(cost.bounds.get("usd_per_query"), lambda usd: formats.price(usd, batch))
        yield f"- Cost: USD {formats.price(cost.usd_per_query, batch)} per {name}{between}"
    if cost.latency_p95_s is not None:
        between = _between(cost.bounds.get("latency_p95_s"), formats.duration)
        yield f"- Latency: {formats.duration(cost.latency_p95_s)} at the 95th percentile{between}"
    yield ""


def _shown(text: str) -> str:
    """Show a text that may come from data, or from whoever can write to the server: on one line, and as it is."""
    return escape_markdown(" ".join(printable(text).split()))


def _between(bounds: Bounds | None, form: Callable[[float], str]) -> str:
    """` [1.5, 1.9]`; an end without a limit is a dash."""
    if bounds is None:
        return ""
    low, high = ("–" if end is None else form(end) for end in (bounds.low, bounds.high))
    return f" [{low}, {high}]"
