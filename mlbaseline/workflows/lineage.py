"""What a registered version stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from mlbaseline import store
from mlbaseline.records import NO_SEED
from mlbaseline.workflows.command_result import CommandResult


def lineage(
    model: str, *, version: str | None = None, alias: str = "champion", tracking_uri: str | None = None
) -> CommandResult:
    """From a version back to its comparison, evaluations, data, rules and predecessors; what is missing is named."""
    found = store.find_lineage(tracking_uri, model, version=version, alias=alias)
    return CommandResult({**asdict(found), "complete": not found.missing}, lambda *_: "\n".join(_lines(found)))


def _lines(found: store.Lineage) -> Iterator[str]:
    for version in found.versions:
        yield from _version_lines(found.model, version)
        yield ""
    if found.missing:
        yield "Missing:"
        yield from (f"  - {what}" for what in found.missing)
    else:
        yield "Every link leads somewhere."


def _version_lines(model: str, version: store.VersionLineage) -> Iterator[str]:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    yield f"{model} version {version.version}{aliases}, verdict {version.verdict or 'unknown'}"
    if version.promotion:
        yield f"  promotion    {version.promotion.run_id}"
    if run := version.comparison:
        yield f"  comparison   {run.run_id}  suite {_short(run.suite_digest)}  matrix {_short(run.matrix_digest)}"
    datasets = dict.fromkeys(run.dataset for run in version.evaluations if run.dataset)
    for dataset in datasets:
        yield f"  data         {dataset}"
    width = max((len(_label(run)) for run in version.evaluations), default=0)
    for run in version.evaluations:
        own = "  ◀ these weights" if run.run_id == version.evaluation_run_id else ""
        digests = (
            f"suite {_short(run.suite_digest)}  matrix {_short(run.matrix_digest)}  task {_short(run.task_digest)}"
        )
        yield f"  evaluation   {_label(run):<{width}}  {run.run_id}  {digests}{own}"


def _label(run: store.LinkedRun) -> str:
    return run.role if run.seed in ("", NO_SEED) else f"{run.role}, seed {run.seed}"


def _short(digest: str) -> str:
    return digest[:8] or "none"
