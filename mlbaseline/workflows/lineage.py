"""What a registered version stands on, and whether every link to it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from mlbaseline import store
from mlbaseline.records import NO_SEED
from mlbaseline.workflows.command_result import CommandResult


def lineage(
    model: str, *, version: str | None = None, alias: str | None = None, tracking_uri: str | None = None
) -> CommandResult:
    """From a version back to its comparison, evaluations, data, rules and predecessors.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a name.
        version: Of a name: this version, whatever its aliases.
        alias: Of a name: the version that holds this alias. By default `champion`.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        What is missing or wrong is named; the exit code is then 1.
    """
    found = store.find_lineage(tracking_uri, model, version=version, alias=alias)
    document = {**asdict(found), "complete": not found.missing}
    return CommandResult(document, lambda *_: "\n".join(_lines(found)), exit_code=1 if found.missing else 0)


def verify(
    model: str, *, version: str | None = None, alias: str | None = None, tracking_uri: str | None = None
) -> CommandResult:
    """Recompute and check every link of a version: its tags against its runs, and all digests against the files.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a name.
        version: Of a name: this version, whatever its aliases.
        alias: Of a name: the version that holds this alias. By default `champion`.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `model`, `version`, `verified`, and `links`: each with `link`, `status` (`ok`, `missing` or
        `wrong`) and `detail`. The exit code is 1 where one is missing or wrong.

    Raises:
        TrackingError: There is no such version, or the server cannot be reached.
    """
    server = store.reach(tracking_uri)
    found = store.find_version(server, model, version=version, alias=alias)
    checks = list(store.VersionLinks(server, found).checks())
    failed = [check for check in checks if check.failed]
    document = {
        "model": found.name,
        "version": str(found.version),
        "verified": not failed,
        "links": [asdict(check) for check in checks],
    }
    return CommandResult(document, lambda *_: _checks_text(document, checks, len(failed)), exit_code=1 if failed else 0)


def _checks_text(document: dict[str, object], checks: list[store.LinkCheck], n_failed: int) -> str:
    width = max(len(check.link) for check in checks)
    lines = [f"  {check.status.value.replace('_', ' '):<9} {check.link:<{width}}  {check.detail}" for check in checks]
    closing = f"{n_failed} of {len(checks)} links do not hold." if n_failed else "Every link holds."
    return "\n".join([f"{document['model']} version {document['version']}", *lines, closing])


def _lines(found: store.Lineage) -> Iterator[str]:
    for version in found.versions:
        yield from _version_lines(found.model, version)
        yield ""
    if found.missing:
        yield "Missing or wrong:"
        yield from (f"  - {what}" for what in found.missing)
    else:
        yield "Every link holds."


def _version_lines(model: str, version: store.VersionLineage) -> Iterator[str]:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    yield f"{model} version {version.version}{aliases}, verdict {version.verdict or 'unknown'}"
    if version.promotion:
        yield f"  promotion    {version.promotion.run_id}"
    if run := version.comparison:
        yield f"  comparison   {run.run_id}  suite {_short(run.suite_digest)}  matrix {_short(run.matrix_digest)}"
        if run.stopped:
            yield f"  answers end  at {run.stopped}"
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
