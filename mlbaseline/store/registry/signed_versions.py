"""Is a registered version signed, by whom, and is it what was signed?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbaseline.errors import SignatureError
from mlbaseline.model_files import file_digests
from mlbaseline.records import Decision
from mlbaseline.signing import SignedStatement, TrustedKeys, VerdictStatement, verify_signed
from mlbaseline.store.comparison_runs import read_comparison
from mlbaseline.store.comparisons import load_assessment
from mlbaseline.store.registry.pending_versions import PROMOTION_RUN_ID
from mlbaseline.store.registry.stated import EVALUATION_RUN_ID
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.references import stored_model
from mlbaseline.store.signatures import derive_statement, read_signed

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def require_signed_model(server: Server, version: ModelVersion, trusted: TrustedKeys | None, folder: Path) -> None:
    """Check that a model that is about to answer is the one that was signed.

    Args:
        server: The tracking server.
        version: The version of the registered model.
        trusted: The keys by one of which it must be signed; None for whichever key is beside the signature.
        folder: Its files on this machine.

    Raises:
        SignatureError: It is not signed, by another key, or is another model.
        TrackingError: The signature cannot be fetched.
    """
    _verified(server, version, trusted, _digests(folder))


def verify_signed_version(server: Server, version: ModelVersion, trusted: TrustedKeys | None) -> SignedStatement:
    """Check the signature of a version against all that it stands on, hashed anew: files, tables, findings, digests.

    Raises as `require_signed_model`, and IncomparableError where a table is not that of its run.
    """
    with stored_model(server, f"models:/{version.name}/{version.version}") as folder:
        files = _digests(folder)
    signed, statement = _verified(server, version, trusted, files)
    comparison = read_comparison(server, statement.comparison_run_id)
    assessment = load_assessment(server, comparison.run_id)
    with TemporaryDirectory() as temporary:
        derived = derive_statement(server, comparison, assessment, version.name, files=files, cache=Path(temporary))
    statement.require_same(derived, _name(version))
    return signed


def _verified(
    server: Server, version: ModelVersion, trusted: TrustedKeys | None, files: Mapping[str, str]
) -> tuple[SignedStatement, VerdictStatement]:
    run_id, what = version.tags.get(PROMOTION_RUN_ID), _name(version)
    signed = None if run_id is None else read_signed(server, run_id)
    statement = verify_signed(signed, trusted, what)
    assert signed is not None  # else the line before has raised
    if statement.verdict != Decision.PROMOTE.value:
        raise SignatureError(f"{what}: the signed verdict is {statement.verdict!r}; only `promote` registers.")
    present = statement.model_copy(
        update={
            "files": files,
            "register_as": version.name,
            "winner_run_id": version.tags.get(EVALUATION_RUN_ID),
        }
    )
    statement.require_same(present, what)
    return signed, statement


def _digests(folder: Path) -> Mapping[str, str]:
    return file_digests({"": folder}, remembered=False)


def _name(version: ModelVersion) -> str:
    return f"version {version.version} of {version.name!r}"
