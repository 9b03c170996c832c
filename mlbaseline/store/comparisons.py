"""The comparison run: an `Assessment` as files that people and scripts read, and back again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from mlbaseline.errors import IncomparableError
from mlbaseline.format_versions import COMPARISON as COMPARISON_FORMAT
from mlbaseline.format_versions import FORMAT, KEY, RUN, VERSION
from mlbaseline.records import Assessment, Comparison, Registered, Role, Verdict, digest_of
from mlbaseline.results.parquet import write_parquet
from mlbaseline.store.items import Metrics, Tags, metric_name, write
from mlbaseline.store.server.artifacts import fetch_artifact
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX, Run
from mlbaseline.store.suites import suite_artifact
from mlbaseline.suite import Suite

COMPARISON = "comparison"
VERDICT, WINNER = PREFIX + "verdict", PREFIX + "winner"
REGISTERED, TEST_LOOKS = PREFIX + "registered", PREFIX + "test_looks"
LOOK, WAIVED = PREFIX + "look", PREFIX + "waived"
"""Tags: what was looked at (`look_of`), and the failed audit checks that the suite lets pass, with its reasons."""
STOPPED = PREFIX + "stopped"
"""Tag: where the answers to the test end, and by which boundary; absent where the suite registers no looks."""
CONFIRMATORY = PREFIX + "confirmatory_contrasts"
COLUMNS = tuple(field.name for field in fields(Comparison))

ASSESSMENT_SHA256 = PREFIX + "assessment_sha256"
"""Tag: digest of what the comparison found."""
_FINDINGS, _COMPARISONS = "findings.json", "comparisons.json"
_ROLES = tuple(Role)
_DTYPES = {
    "gained": "Int64",
    "lost": "Int64",
    "effect_size": "Float64",
    "margin": "Float64",
    "n_labels": "Int64",
    "effective_labels": "Float64",
    "undecided": "string",
    **dict.fromkeys(("effective_n", "plain_delta", "plain_low", "plain_high"), "Float64"),
}


def log_comparison(run: Run, assessment: Assessment, rendered: Path, *, suite: Suite) -> None:
    """Store an assessment in the run of a comparison, with the suite that it was made by.

    Args:
        run: The run of the comparison, open.
        assessment: What the comparison came to.
        rendered: folder with `report.html`, `report.md` and `plots/*.svg`.
        suite: The suite that it was made by.

    Raises:
        TrackingError: the server cannot be reached or refuses.
    """
    with TemporaryDirectory() as temporary, reporting(f"store the comparison {run.name!r}", run.tracker.uri):
        folder = Path(temporary, "comparison")
        copytree(rendered, folder)
        digest = save_assessment(assessment, folder)
        write(
            run,
            suite_artifact(suite, Path(temporary)),
            Metrics(_deltas(assessment.comparisons)),
            Tags(
                {
                    VERDICT: assessment.verdict.decision.value,
                    REGISTERED: assessment.registration.status.value,
                    TEST_LOOKS: str(assessment.registration.test_looks),
                    CONFIRMATORY: _confirmatory(assessment.comparisons),
                    ASSESSMENT_SHA256: digest,
                    LOOK: look_of(run_id for each in assessment.standings for run_id in each.run_ids.values()),
                    **({STOPPED: assessment.looks.summary} if assessment.looks else {}),
                    **({WAIVED: waived_text(assessment)} if assessment.verdict.waived else {}),
                }
            ),
        )


def show_verdict(ladder: Run, verdict: Verdict) -> None:
    """Put a verdict into the name and the tags of its ladder, so that MLflow's list of runs shows it.

    It is for people: what decides is read from the run of the comparison.

    Raises:
        TrackingError: the server cannot be reached or refuses.
    """
    decision, winner = verdict.decision.value, verdict.winner
    name = f"{decision} {winner}: {ladder.name}" if winner else f"{decision}: {ladder.name}"
    with reporting(f"name the run {ladder.name!r}", ladder.tracker.uri):
        ladder.tracker.client.update_run(ladder.run_id, name=name)
    write(ladder, Tags({VERDICT: decision, **({WINNER: winner} if winner else {})}))


def look_of(run_ids: Iterable[str]) -> str:
    """Name a look at `test` by the evaluations that were looked at.

    The same runs compared again, by the same rules, are the same look.
    """
    return digest_of(sorted(run_ids))[:32]


def waived_text(assessment: Assessment) -> str:
    """Write the waived audit checks in one line: `MLB102: rules only; MLB305: …`."""
    return "; ".join(f"{code}: {reason}" for code, reason in assessment.verdict.waived.items())


def load_assessment(server: Server, run_id: str) -> Assessment:
    """Read back what `log_comparison` stored. Raises TrackingError where there is nothing to read.

    Raises IncomparableError where the files are not those that the run was completed with, NewerFormatError where a
    later version wrote them.
    """
    with reporting(f"read the comparison {run_id}", server.uri), TemporaryDirectory() as temporary:
        tags = server.client.get_run(run_id).data.tags
        RUN.require_readable(f"{server.uri}: comparison {run_id}", tags.get(FORMAT), tags.get(VERSION))
        expected = tags.get(ASSESSMENT_SHA256)
        for name in (_FINDINGS, _COMPARISONS):
            fetch_artifact(server, run_id, f"comparison/{name}", Path(temporary))
        return _read(Path(temporary), expected, where=f"{server.uri}: comparison {run_id}")


def save_assessment(assessment: Assessment, folder: Path) -> str:
    """Write `comparisons.parquet`, `comparisons.json` and `findings.json`; give the SHA-256 of the latter two.

    JSON has no NaN and no infinity: they are written as the strings "NaN", "Infinity" and "-Infinity".
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(comparisons_frame(assessment.comparisons), folder / "comparisons.parquet", COMPARISON_FORMAT)
    (folder / _COMPARISONS).write_bytes(_json(assessment.comparisons))
    findings = replace(assessment, comparisons=())
    content = {field.name: getattr(findings, field.name) for field in fields(findings)}
    (folder / _FINDINGS).write_bytes(_json({KEY: COMPARISON_FORMAT.newest, **content}))
    return _digest(folder)


def comparisons_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Make the table of `comparisons.parquet`, a row for each comparison."""
    rows = pd.DataFrame([asdict(comparison) for comparison in comparisons], columns=list(COLUMNS))
    return rows.astype(_DTYPES)


def _read(folder: Path, expected: str | None, where: str) -> Assessment:
    if _digest(folder) != expected:
        raise IncomparableError(
            f"{where}: {_FINDINGS} or {_COMPARISONS} is not what the comparison was completed with (SHA-256 "
            f"{_digest(folder)[:12]}…, expected {(expected or 'none')[:12]}…). It was edited afterwards: compare again."
        )
    content = from_json((folder / _FINDINGS).read_bytes())
    COMPARISON_FORMAT.require_readable(where, content.get(KEY) if isinstance(content, dict) else None)
    try:
        findings = TypeAdapter(Assessment).validate_json((folder / _FINDINGS).read_bytes())
        comparisons = TypeAdapter(tuple[Comparison, ...]).validate_json((folder / _COMPARISONS).read_bytes())
    except ValidationError as error:
        raise IncomparableError(
            f"{where}: not written by this version of mlbaseline, compare again: {error}"
        ) from error
    return replace(findings, comparisons=comparisons)


def _json(value: object) -> bytes:
    return to_json(value, indent=2, inf_nan_mode="strings") + b"\n"


def _digest(folder: Path) -> str:
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in (_FINDINGS, _COMPARISONS))).hexdigest()


def overall_contrasts(comparisons: Sequence[Comparison]) -> dict[tuple[str, str, str], Comparison]:
    """Map (candidate, baseline, metric) to its overall row; of several, the one that decides most."""
    rows: dict[tuple[str, str, str], Comparison] = {}
    for row in sorted(comparisons, key=lambda row: _ROLES.index(row.role)):
        if row.slice is None:
            rows.setdefault((row.candidate, row.baseline, row.metric), row)
    return rows


def _confirmatory(comparisons: Sequence[Comparison]) -> str:
    """`3 of 4`: registered rows, and how many of them were before the first evaluation."""
    registered = [row.registered for row in comparisons if row.role is not Role.EXPLORATORY]
    return f"{registered.count(Registered.BEFORE)} of {len(registered)}"


def _deltas(comparisons: Sequence[Comparison]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for (candidate, baseline, metric), row in overall_contrasts(comparisons).items():
        name = metric_name("delta", f"{candidate}-vs-{baseline}", metric)
        metrics[name] = row.delta
        metrics |= {f"{name}/{key}": getattr(row, key) for key in ("low", "high", "p_adjusted")}
    return metrics
