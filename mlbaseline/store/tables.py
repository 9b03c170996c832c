"""Fetch what completed evaluations hold, as it was when each run was completed: every file is checked by its digest."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.assets import hash_file
from mlbaseline.cache import cache_dir
from mlbaseline.errors import IncomparableError
from mlbaseline.records import Signature
from mlbaseline.results import CompletedEvaluation, ResultTable
from mlbaseline.results import load_table as read_table
from mlbaseline.store.evaluations import EXAMPLES, SIGNATURE
from mlbaseline.store.measured import FACTS, MEASURED, MeasuredFigures, read_measured
from mlbaseline.store.runs import EvaluationRun
from mlbaseline.store.server.artifacts import check_location, fetch_artifact
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.untrusted import parse_json

_DOWNLOADS = 8


def tables_cache() -> Path:
    """Return the folder that keeps the tables of runs under their digests."""
    return cache_dir() / "tables"


def load_tables(server: Server, runs: Sequence[EvaluationRun], *, cache: Path) -> tuple[ResultTable, ...]:
    """Load the result tables of runs, in parallel.

    Args:
        server: The tracking server.
        runs: Completed evaluations.
        cache: folder that keeps files under their digests, so that each is fetched once.

    Returns:
        The tables in the order of the runs.

    Raises:
        IncomparableError: the rows or the signature are not those that the run was completed with.
        TrackingError: they cannot be fetched.
    """
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        return tuple(pool.map(lambda run: _load_table(server, run, cache), runs))


def load_evaluations(server: Server, runs: Sequence[EvaluationRun], *, cache: Path) -> list[CompletedEvaluation]:
    """Load runs with their tables and with what was measured around the rows.

    What was measured comes from the run's `results/measured.json`. An earlier run has none: there it is what the run's
    metrics and parameters say, and the evaluation says that no digest covers it. For arguments and errors see
    `load_tables`.
    """
    tables = load_tables(server, runs, cache=cache)
    return [_evaluation(run, table, cache) for run, table in zip(runs, tables, strict=True)]


def load_signatures(server: Server, runs: Sequence[EvaluationRun], *, cache: Path) -> tuple[Signature, ...]:
    """Load the signatures alone, each checked by its digest. Arguments and errors: see `load_tables`."""
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        return tuple(pool.map(lambda run: _load_signature(server, run, cache / "signatures"), runs))


def _evaluation(run: EvaluationRun, table: ResultTable, cache: Path) -> CompletedEvaluation:
    if run.measured_sha256 is not None:
        measured = read_measured(_folder(run, cache))
    else:
        measured = MeasuredFigures(
            run.metrics, {name: text for name, text in run.params.items() if name.startswith(FACTS)}
        )
    return CompletedEvaluation(
        run.run_id, table, measured.figures, measured.facts, is_measured_digested=run.measured_sha256 is not None
    )


def _load_signature(server: Server, run: EvaluationRun, folder: Path) -> Signature:
    path = folder / f"{run.signature_digest}.json"
    signature = _read_signature(path)
    if signature is None or signature.digest != run.signature_digest:
        check_location(server, run.artifact_uri)
        _require_results(server, run)
        with TemporaryDirectory() as temporary:
            fetched = fetch_artifact(server, run.run_id, SIGNATURE, Path(temporary))
            signature = _read_signature(fetched)
            if signature is None or signature.digest != run.signature_digest:
                raise _edited(server, run, SIGNATURE)
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fetched.read_bytes())
    _check_tags(server, run, signature)
    return signature


def _read_signature(path: Path) -> Signature | None:
    try:
        return Signature(dict(parse_json(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return None


def _folder(run: EvaluationRun, cache: Path) -> Path:
    measured = f"-{run.measured_sha256}" if run.measured_sha256 else ""
    return cache / f"{run.signature_digest}-{run.examples_sha256}{measured}"


def _load_table(server: Server, run: EvaluationRun, cache: Path) -> ResultTable:
    folder = _folder(run, cache)
    if _edited_file(run, folder):
        _fetch(server, run, folder)
    table = read_table(folder, baseline=run.baseline, kind=run.kind, seed=run.seed)
    _check_tags(server, run, table.signature)
    return table


def _check_tags(server: Server, run: EvaluationRun, signature: Signature) -> None:
    """Check that the tags agree with the signature, whose digest was taken when the run was completed."""
    for field, tagged in (("seed", run.seed), ("data.split", run.split), ("data.digest", run.task_digest)):
        if field in signature.fields and signature.fields[field] != tagged:
            raise IncomparableError(
                f"{server.uri}: the run {run.run_id} ({run.baseline}) is tagged with {field} {tagged!r}, and its "
                f"signature says {signature.fields[field]!r}. The tag was edited afterwards: evaluate again with "
                "--fresh."
            )


def _fetch(server: Server, run: EvaluationRun, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    check_location(server, run.artifact_uri)
    _require_results(server, run)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        fetched = fetch_artifact(server, run.run_id, "results", Path(temporary))
        if edited := _edited_file(run, fetched):
            raise _edited(server, run, edited)
        for path in fetched.iterdir():
            path.replace(folder / path.name)


def _edited(server: Server, run: EvaluationRun, path: str) -> IncomparableError:
    return IncomparableError(
        f"{server.uri}: {path} of {run.baseline} (run {run.run_id}) is not the file that the run was completed with: "
        "its digest is not the one in the run's tags. One of them was edited afterwards: evaluate again with --fresh."
    )


def _require_results(server: Server, run: EvaluationRun) -> None:
    with reporting(f"list the results of the run {run.run_id}", server.uri):
        stored = {item.path for item in server.client.list_artifacts(run.run_id, "results")}
    expected = {EXAMPLES, SIGNATURE} | ({MEASURED} if run.measured_sha256 else set())
    if missing := sorted(expected - stored):
        raise IncomparableError(
            f"{server.uri}: the run {run.run_id} ({run.baseline}) says that it is completed, and has no "
            f"{' and no '.join(missing)}. What it found cannot be compared: evaluate again with --fresh."
        )


def _edited_file(run: EvaluationRun, folder: Path) -> str | None:
    """Find a file whose content is not what the run's tags say, or that is missing; None if all are unchanged."""
    for path, expected in ((EXAMPLES, run.examples_sha256), (MEASURED, run.measured_sha256)):
        if expected is not None and _sha256_of(folder / Path(path).name) != expected:
            return path
    signature = _read_signature(folder / Path(SIGNATURE).name)
    return None if signature is not None and signature.digest == run.signature_digest else SIGNATURE


def _sha256_of(file: Path) -> str | None:
    return hash_file(file) if file.is_file() else None
