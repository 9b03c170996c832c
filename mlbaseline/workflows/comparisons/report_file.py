"""Write the report of a stored comparison to a file."""

from __future__ import annotations

from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import SuiteError, TrackingError
from mlbaseline.report import render_html, render_markdown
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.gate import required_comparison


def report(
    comparison: str | None, *, output: Path, suite: SuiteReference | None = None, tracking_uri: str | None = None
) -> CommandResult:
    """Write the report of a comparison to a file: HTML or Markdown by its ending.

    Args:
        comparison: Id of its run. Without it, the newest of the suite or, without a suite, of the server.
        output: The file.
        suite: The suite, where no run is named.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Raises:
        SuiteError: The name of the file has another ending, or the suite is not valid.
        TrackingError: There is no such comparison.
    """
    renderers = {".html": render_html, ".htm": render_html, ".md": render_markdown}
    if output.suffix.lower() not in renderers:
        raise SuiteError(
            "--output",
            [f"expected a name that ends in .html or .md, got {output.name!r}; mlbaseline table writes LaTeX and CSV"],
        )
    if comparison is None:
        name = _newest_suite(tracking_uri) if suite is None else open_suite(suite).name
        tracker = store.connect(tracking_uri, name)
        server: store.Server = tracker
        run_id = required_comparison(name, tracker, None).run_id
    else:
        server, run_id = store.reach(tracking_uri), comparison
    text = renderers[output.suffix.lower()](store.load_assessment(server, run_id))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    # The whole path: `mlflow run -e report` works in the folder of the project, not in that of its caller.
    return CommandResult(
        {"comparison_run_id": run_id, "output": str(output)}, lambda *_: f"Report of {run_id}: {output.resolve()}"
    )


def _newest_suite(tracking_uri: str | None) -> str:
    server = store.reach(tracking_uri)
    name = store.newest_compared(server)
    if name is None:
        raise TrackingError(
            f"{server.uri}: no completed comparison of any suite. Run `mlbaseline compare` first, or name "
            "another server with --tracking-uri."
        )
    return name
