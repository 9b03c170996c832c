"""Write the results of a comparison as a table for a paper."""

from __future__ import annotations

from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import SuiteError
from mlbaseline.report import TableFormat, render_paper_table
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.gate import judged_comparison

_ENDINGS = {".tex": TableFormat.LATEX, ".md": TableFormat.MARKDOWN, ".csv": TableFormat.CSV}


def table(
    suite: SuiteReference,
    *,
    comparison: str | None = None,
    table_format: TableFormat | str | None = None,
    output: Path | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Write every rung's scores as a table: means over seeds, intervals, and marks for what a candidate beats.

    Args:
        suite: Path of a suite file, name of a packaged suite, or the content of a suite as a mapping.
        comparison: Run id of the comparison. By default the suite's newest.
        table_format: `latex` (needs the package booktabs), `markdown` or `csv` (unrounded, a row a rung and metric). By
            default the ending of `output` decides: `.tex`, `.md` or `.csv`; without one it is Markdown.
        output: Write to this file in place of the terminal.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `comparison_run_id`, `format`, and `table` or `output`.

    Raises:
        TrackingError: The server cannot be reached, or has no completed comparison.
        IncomparableError: Other rules than the suite's present ones judged the comparison.
        ValueError: The format is not one of the three.
        SuiteError: The ending says none of them, or the suite is not valid.
    """
    chosen = _format_of(output) if table_format is None else TableFormat(table_format)
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run, assessment = judged_comparison(loaded, tracker, comparison)
    text = render_paper_table(assessment, chosen, correction=loaded.matrix.correction)
    document = {"comparison_run_id": run.run_id, "format": chosen.value}
    if output is None:
        return CommandResult({**document, "table": text}, lambda *_: text)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    return CommandResult({**document, "output": str(output)}, lambda *_: f"Table of {run.run_id}: {output}")


def _format_of(output: Path | None) -> TableFormat:
    if output is None:
        return TableFormat.MARKDOWN
    if output.suffix.lower() not in _ENDINGS:
        raise SuiteError(
            "--output", [f"expected a name that ends in {', '.join(_ENDINGS)}, or --format; got {output.name!r}"]
        )
    return _ENDINGS[output.suffix.lower()]
