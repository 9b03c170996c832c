"""Signed verdicts: derived from what lies on the tracking server, kept beside a run, and held to it again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.errors import SignatureError
from mlbaseline.model_files import file_digests
from mlbaseline.records import Assessment, Decision, seed_text
from mlbaseline.signing import (
    SignedStatement,
    SigningKey,
    TableDigests,
    TrustedKeys,
    VerdictStatement,
    sign_statement,
    verify_signed,
)
from mlbaseline.store.comparison_runs import ComparisonRun, read_comparison
from mlbaseline.store.items import Artifacts, Tags, write
from mlbaseline.store.runs import EvaluationRun, read_evaluation
from mlbaseline.store.server.artifacts import fetch_artifact
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.references import stored_model
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX, Run
from mlbaseline.store.tables import load_tables, tables_cache
from mlbaseline.suite import Suite

SIGNER = PREFIX + "signed_by"
"""Tag of a comparison, a promotion and a version: fingerprint of the key by which it is signed."""
_FOLDER = "signature"


def trusted_keys(suite: Suite) -> TrustedKeys | None:
    """Return the keys that may sign: those that the suite and `MLBASELINE_SIGNED_BY` name, where both do those of both.

    Raises:
        KeyFileError: A key cannot be read.
    """
    by_operator = TrustedKeys.of_environment()
    if suite.gates.signed_by is None:
        return by_operator
    return TrustedKeys.read(suite.gates.signed_by, root=suite.root, where="gates.signed_by").both(by_operator)


def signing_key(path: str | Path | None, suite: Suite) -> SigningKey | None:
    """Read the key that is to sign, before anything long begins. None: nothing is signed.

    Raises:
        KeyFileError: The key cannot be read.
        SignatureError: The suite does not take it.
    """
    if path is None:
        return None
    key, trusted = SigningKey.read(path), trusted_keys(suite)
    if trusted is not None and key.public.fingerprint not in trusted.fingerprints:
        raise SignatureError(
            f"{path}: the key has the fingerprint {key.public.fingerprint}, and {trusted.where} does not name it. Name "
            "it there, or sign with a key that is named."
        )
    return key


def sign_comparison(run: Run, suite: Suite, assessment: Assessment, key: SigningKey) -> None:
    """Sign what a comparison came to, in its run, which holds the assessment by now. Raises TrackingError."""
    comparison = read_comparison(run.tracker, run.run_id)
    statement = derive_statement(run.tracker, comparison, assessment, suite.register_as)
    write_signed(run, sign_statement(statement, key))


def write_signed(run: Run, signed: SignedStatement) -> None:
    """Keep a signed statement as artifacts of a run. Raises TrackingError."""
    with TemporaryDirectory() as temporary:
        signed.save(Path(temporary, _FOLDER))
        write(run, Artifacts(Path(temporary)), Tags({SIGNER: signed.fingerprint}))


def read_signed(server: Server, run_id: str) -> SignedStatement | None:
    """Read the signed statement of a run; None where it has none.

    Raises:
        SignatureError: There are other files in its place.
        TrackingError: The server cannot be reached, or the files are gone.
    """
    with reporting(f"read the run {run_id}", server.uri):
        is_signed = SIGNER in server.client.get_run(run_id).data.tags
    if not is_signed:
        return None
    with TemporaryDirectory() as temporary:
        folder = fetch_artifact(server, run_id, _FOLDER, Path(temporary))
        try:
            return SignedStatement.load(folder)
        except (OSError, UnicodeDecodeError) as error:
            raise SignatureError(f"run {run_id}: its signature cannot be read: {error}. Sign it again.") from error


def check_comparison(
    server: Server, suite: Suite, comparison: ComparisonRun, assessment: Assessment
) -> SignedStatement | None:
    """Check the signature of a comparison against what it and its runs hold now.

    Returns:
        The signed statement; None where there is none and the suite asks for none.

    Raises:
        SignatureError: It is missing where one is asked for, by another key, wrong, or of something else.
        IncomparableError: A table is not the one that its run was completed with.
    """
    signed, trusted = read_signed(server, comparison.run_id), trusted_keys(suite)
    if signed is None and trusted is None:
        return None
    what = f"comparison {comparison.run_id}"
    statement = verify_signed(signed, trusted, what)
    statement.require_same(derive_statement(server, comparison, assessment, suite.register_as), what)
    return signed


def derive_statement(
    server: Server,
    comparison: ComparisonRun,
    assessment: Assessment,
    register_as: str | None,
    *,
    files: Mapping[str, str] | None = None,
    cache: Path | None = None,
) -> VerdictStatement:
    """Derive what there is to sign about a comparison from its runs, their tables and the files of the winner.

    Args:
        server: The tracking server.
        comparison: The run of the comparison.
        assessment: What it found, checked against its digest.
        register_as: Registered model that the winner is for.
        files: Digests of the winner's files; None: they are computed from what is stored.
        cache: Keeps tables under their digests; None: that of this machine.

    Raises:
        IncomparableError: A table is not the one that its run was completed with.
        TrackingError: Something cannot be fetched.
    """
    run_ids = sorted({run_id for standing in assessment.standings for run_id in standing.run_ids.values()})
    runs = [run for run in (read_evaluation(server, run_id) for run_id in run_ids) if run.examples_sha256 is not None]
    load_tables(server, runs, cache=cache or tables_cache())  # each table is hashed, and held to its run's digests
    winner = _winner(assessment, runs)
    if files is None:
        files = _stored_files(server, winner)
    return VerdictStatement(
        suite=assessment.suite,
        suite_digest=comparison.suite_digest,
        matrix_digest=comparison.matrix_digest,
        data_digest=",".join(sorted({run.task_digest for run in runs})),
        tables={run.run_id: _digests(run) for run in runs},
        assessment_sha256=comparison.assessment_sha256,
        comparison_run_id=comparison.run_id,
        verdict=assessment.verdict.decision.value,
        winner_run_id=None if winner is None else winner.run_id,
        register_as=register_as,
        files=files,
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _winner(assessment: Assessment, runs: list[EvaluationRun]) -> EvaluationRun | None:
    verdict = assessment.verdict
    if verdict.decision is not Decision.PROMOTE:
        return None
    ids = {standing.baseline: standing.run_ids for standing in assessment.standings}.get(str(verdict.winner), {})
    return next((run for run in runs if run.run_id == ids.get(seed_text(verdict.winner_seed))), None)


def _stored_files(server: Server, winner: EvaluationRun | None) -> Mapping[str, str]:
    if winner is None or winner.model_id is None:
        return {}
    with stored_model(server, f"models:/{winner.model_id}") as folder:
        return file_digests({"": folder}, remembered=False)


def _digests(run: EvaluationRun) -> TableDigests:
    return TableDigests(examples=str(run.examples_sha256), signature=run.signature_digest, measured=run.measured_sha256)
