"""Write the report of a stored comparison to a file."""

from __future__ import annotations

from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import SuiteError
from mlbaseline.report import render_html, render_markdown
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.gate import required_comparison


def report(
    comparison: str | None, *, output: Path, suite: str | Path = "tweets", tracking_uri: str | None = None
) -> CommandResult:
    """Write the report of a comparison to a file: HTML or Markdown by its ending. suite: needed without a run's id."""
    renderers = {".html": render_html, ".htm": render_html, ".md": render_markdown}
    if output.suffix.lower() not in renderers:
        raise SuiteError(
            "--output",
            [f"expected a name that ends in .html or .md, got {output.name!r}; mlbaseline table writes LaTeX and CSV"],
        )
    if comparison is None:
        loaded = open_suite(suite)
        tracker = store.connect(tracking_uri, loaded.name)
        server: store.Server = tracker
        run_id = required_comparison(loaded, tracker, None).run_id
    else:
        server, run_id = store.reach(tracking_uri), comparison
    text = renderers[output.suffix.lower()](store.load_assessment(server, run_id))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    return CommandResult(
        {"comparison_run_id": run_id, "output": str(output)}, lambda *_: f"Report of {run_id}: {output}"
    )
