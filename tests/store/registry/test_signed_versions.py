"""A signature finds what digests do not: file, tag and digest that were changed together.

Keys, envelopes and the tracking store are real.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from mlbaseline.errors import SignatureError, TrackingError
from mlbaseline.model_files import model_sha256, weights_sha256
from mlbaseline.serving import find_registered
from mlbaseline.signing import SIGNED_BY, SigningKey, TrustedKeys
from mlbaseline.store.comparison_runs import ComparisonRun
from mlbaseline.store.comparisons import load_assessment, save_assessment
from mlbaseline.store.registry.lineage import find_lineage
from mlbaseline.store.registry.link_checks import LinkCheck
from mlbaseline.store.registry.loaded import check_registered
from mlbaseline.store.registry.plan import PromotionPlan, plan_promotion
from mlbaseline.store.registry.promotion import promote
from mlbaseline.store.registry.registered_names import find_version
from mlbaseline.store.registry.verification import VersionLinks
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.tracking import Run
from mlbaseline.store.signatures import check_comparison, read_signed, sign_comparison
from mlbaseline.suite import Production, Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.stored import Compare
from tests.support.signing_keys import write_key

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True),
]


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.read(write_key(tmp_path))


@pytest.fixture
def suite(suite_text: str, tmp_path: Path, key: SigningKey) -> Suite:
    """A suite that asks for a signature by the key `release`."""
    return parse_suite(suite_text + "gates: {signed_by: [release.pub]}\n", root=tmp_path)


def plan(tracker: Tracker, suite: Suite, stored: ComparisonRun, key: SigningKey | None = None) -> PromotionPlan:
    return plan_promotion(tracker, suite, stored, load_assessment(tracker, stored.run_id), key=key)


def sign(tracker: Tracker, suite: Suite, stored: ComparisonRun, key: SigningKey) -> None:
    run = Run(tracker, stored.run_id, stored.experiment_id, "comparison")
    sign_comparison(run, suite, load_assessment(tracker, stored.run_id), key)


@dataclass(frozen=True)
class SignedVersion:
    """A version whose promotion was signed, and what somebody who may write to the server can reach of it."""

    tracker: Tracker
    model: str
    plan: PromotionPlan

    @property
    def tags(self) -> dict[str, str]:
        return dict(find_version(self.tracker, self.model).tags)

    @property
    def folder(self) -> Path:
        location = self.tracker.client.get_logged_model(str(self.plan.winner.model_id)).artifact_location
        return Path(location.removeprefix("file://"))

    def artifacts(self, run_id: str) -> Path:
        return Path(self.tracker.client.get_run(run_id).info.artifact_uri.removeprefix("file://"))

    @property
    def signature(self) -> Path:
        return self.artifacts(self.tags["mlbaseline.promotion_run_id"]) / "signature"

    def tag(self, key: str, value: str, *run_ids: str) -> None:
        """Set a tag on runs, and on the version where it has that tag."""
        for run_id in run_ids:
            self.tracker.client.set_tag(run_id, f"mlbaseline.{key}", value)
        if f"mlbaseline.{key}" in self.tags:
            self.tracker.client.set_model_version_tag(self.model, "1", f"mlbaseline.{key}", value)

    def failed(self) -> dict[str, LinkCheck]:
        checks = VersionLinks(self.tracker, find_version(self.tracker, self.model)).checks()
        return {check.link: check for check in checks if check.failed}


@pytest.fixture
def signed(tracker: Tracker, suite: Suite, compare: Compare, key: SigningKey) -> SignedVersion:
    planned = plan(tracker, suite, compare(), key)
    return SignedVersion(tracker, promote(tracker, suite, planned).model, planned)


def test_every_link_of_a_signed_version_holds(
    signed: SignedVersion, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert signed.tags["mlbaseline.signed_by"] == key.public.fingerprint
    assert signed.failed() == {}
    monkeypatch.setenv(SIGNED_BY, key.public.fingerprint)
    assert signed.failed() == {}
    assert find_lineage(signed.tracker.uri, signed.model).missing == ()


def test_the_statement_is_in_toto_with_the_files_as_subject(signed: SignedVersion) -> None:
    envelope = json.loads((signed.signature / "statement.dsse.json").read_text())
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    subject = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    weights = "artifacts/served/weights/adapter.safetensors"
    assert subject[weights] == hashlib.sha256((signed.folder / weights).read_bytes()).hexdigest()
    predicate = statement["predicate"]
    assert (predicate["verdict"], predicate["registerAs"]) == ("promote", signed.model)
    table = signed.artifacts(signed.plan.winner.run_id) / "results" / "examples.parquet"
    digests = predicate["tables"][signed.plan.winner.run_id]
    assert digests["examples"] == hashlib.sha256(table.read_bytes()).hexdigest()


# ---- forgeries: file, tag and digest together -----------------------------------------------------------------------


def _other_weights(version: SignedVersion) -> None:
    weights, run_id = version.folder / "artifacts" / "served" / "weights", version.plan.winner.run_id
    (weights / "adapter.safetensors").write_bytes(b"others")
    description = weights.parent / "served.json"
    content = json.loads(description.read_text())
    content["weights_sha256"] = weights_sha256(weights, remembered=False)
    description.write_text(json.dumps(content))
    version.tag("weights_sha256", content["weights_sha256"], run_id)
    version.tag("model_sha256", model_sha256(version.folder), run_id)


def _other_rows(version: SignedVersion) -> None:
    table = version.artifacts(version.plan.winner.run_id) / "results" / "examples.parquet"
    frame = pd.read_parquet(table)
    frame["prediction"] = frame["target"]
    frame.to_parquet(table, index=False)
    version.tag("examples_sha256", hashlib.sha256(table.read_bytes()).hexdigest(), version.plan.winner.run_id)


def _other_findings(version: SignedVersion) -> None:
    run_id = version.plan.comparison_run_id
    folder = version.artifacts(run_id) / "comparison"
    assessment = load_assessment(version.tracker, run_id)
    object.__setattr__(assessment.verdict, "reason", "whatever")
    version.tag("assessment_sha256", save_assessment(assessment, folder), run_id)


def _other_suite(version: SignedVersion) -> None:
    stored = version.artifacts(version.plan.comparison_run_id) / "suite.yaml"
    stored.write_text(stored.read_text().replace("Mood:", "Spirit:"))
    digest = parse_suite(stored.read_text()).digest
    version.tag("suite_digest", digest, version.plan.comparison_run_id, version.tags["mlbaseline.promotion_run_id"])


def _edited_statement(version: SignedVersion) -> None:
    path = version.signature / "statement.dsse.json"
    envelope = json.loads(path.read_text())
    payload = base64.b64decode(envelope["payload"]).replace(b"promote", b"hold")
    path.write_text(json.dumps({**envelope, "payload": base64.b64encode(payload).decode()}))


FORGERIES: dict[str, tuple[Callable[[SignedVersion], None], str]] = {
    "weights": (_other_weights, r"is not what was signed: files artifacts/served"),
    "rows": (_other_rows, r"is not what was signed: tables \w+ examples"),
    "findings": (_other_findings, r"is not what was signed: assessment_sha256"),
    "suite": (_other_suite, r"is not what was signed: suite_digest"),
    "the statement": (_edited_statement, r"no signature in the envelope is that of the key beside it"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_what_was_changed_with_its_digest_is_found_by_the_signature_alone(signed: SignedVersion, what: str) -> None:
    forge, message = FORGERIES[what]
    forge(signed)
    failed = signed.failed()
    assert list(failed) == ["signature"]
    assert re.search(message, failed["signature"].detail)
    (missing,) = find_lineage(signed.tracker.uri, signed.model).missing
    assert "signature" in missing


def test_a_signature_by_another_key_does_not_count(
    signed: SignedVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGNED_BY, str(write_key(tmp_path, "other").with_suffix(".pub")))
    assert "is signed by another key: expected one of MLBASELINE_SIGNED_BY" in signed.failed()["signature"].detail


def test_a_signature_that_was_taken_away_is_missed(signed: SignedVersion) -> None:
    for delete in (
        lambda: signed.tracker.client.delete_tag(signed.tags["mlbaseline.promotion_run_id"], "mlbaseline.signed_by"),
        lambda: signed.tracker.client.delete_model_version_tag(signed.model, "1", "mlbaseline.signed_by"),
    ):
        delete()
        assert "signature" in signed.failed()  # the suite that is stored beside it asks for one


# ---- promotion ------------------------------------------------------------------------------------------------------


def test_nothing_unsigned_is_promoted(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    with pytest.raises(
        SignatureError, match=r"is not signed; expected a signature, by one of gates.signed_by"
    ) as caught:
        plan(tracker, suite, compare())
    assert caught.value.exit_code == 5


def test_the_signature_of_a_comparison_goes_on_to_the_version(
    tracker: Tracker, suite: Suite, compare: Compare, key: SigningKey
) -> None:
    stored = compare()
    sign(tracker, suite, stored, key)
    promotion = promote(tracker, suite, plan(tracker, suite, stored))
    assert read_signed(tracker, promotion.run_id) == read_signed(tracker, stored.run_id)
    assert SignedVersion(tracker, promotion.model, plan(tracker, suite, stored)).failed() == {}


def test_a_comparison_that_was_signed_by_somebody_else_is_refused(
    tracker: Tracker, suite: Suite, compare: Compare, tmp_path: Path
) -> None:
    stored = compare()
    sign(tracker, suite, stored, SigningKey.read(write_key(tmp_path, "other", kind="p256")))
    with pytest.raises(SignatureError, match="is signed by another key"):
        plan(tracker, suite, stored)


def test_a_signature_of_another_comparison_is_refused(
    tracker: Tracker, suite: Suite, compare: Compare, key: SigningKey
) -> None:
    first, second = compare(), compare("hold")
    for stored in (first, second):
        sign(tracker, suite, stored, key)
    folders = [
        Path(tracker.client.get_run(stored.run_id).info.artifact_uri.removeprefix("file://")) / "signature"
        for stored in (first, second)
    ]
    shutil.copytree(folders[0], folders[1], dirs_exist_ok=True)
    with pytest.raises(SignatureError, match="is not what was signed"):
        check_comparison(tracker, suite, second, load_assessment(tracker, second.run_id))


# ---- where a model answers ------------------------------------------------------------------------------------------


def test_a_rung_must_be_signed_or_named_by_digest(signed: SignedVersion, key: SigningKey, tmp_path: Path) -> None:
    spec = Production(kind="production", uri=f"models:/{signed.model}@champion")
    trusted = TrustedKeys.read([key.public.fingerprint], root=tmp_path, where="gates.signed_by")
    assert find_registered(signed.tracker, spec, trusted=trusted) is not None
    other = TrustedKeys(frozenset({"sha256:" + "0" * 64}), "gates.signed_by")
    with pytest.raises(SignatureError, match="is signed by another key"):
        find_registered(signed.tracker, spec, trusted=other)
    named = spec.model_copy(update={"sha256": model_sha256(signed.folder)})
    assert find_registered(signed.tracker, named, trusted=other) is not None
    by_id = spec.model_copy(update={"uri": f"models:/{signed.plan.winner.model_id}"})
    with pytest.raises(SignatureError, match="which only versions of registered models have"):
        find_registered(signed.tracker, by_id, trusted=trusted)


def test_a_rung_with_other_weights_and_digests_is_refused(signed: SignedVersion, key: SigningKey) -> None:
    _other_weights(signed)
    spec = Production(kind="production", uri=f"models:/{signed.model}@champion")
    trusted = TrustedKeys(frozenset({key.public.fingerprint}), "gates.signed_by")
    assert find_registered(signed.tracker, spec) is not None  # digests alone agree with each other
    with pytest.raises(SignatureError, match="is not what was signed: files artifacts/served"):
        find_registered(signed.tracker, spec, trusted=trusted)


def test_an_earlier_model_under_another_name_is_refused(signed: SignedVersion, key: SigningKey) -> None:
    client, name = signed.tracker.client, f"{signed.model}-elsewhere"
    version = find_version(signed.tracker, signed.model)
    client.create_registered_model(name)
    client.create_model_version(name, version.source, version.run_id, tags=signed.tags, model_id=version.model_id)
    trusted = TrustedKeys(frozenset({key.public.fingerprint}), "gates.signed_by")
    with pytest.raises(SignatureError, match="register_as"):
        find_registered(signed.tracker, Production(kind="production", uri=f"models:/{name}/1"), trusted=trusted)


def note_version(signed: SignedVersion) -> None:
    """Write what MLflow writes beside a model's files when it loads them from a registry."""
    noted = f"model_name: {signed.model}\nmodel_version: '1'\n"
    (signed.folder / "registered_model_meta").write_text(noted, encoding="utf-8")


def test_a_model_is_served_only_with_a_signature_that_the_operator_asks_for(
    signed: SignedVersion, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_version(signed)
    check_registered(signed.folder)
    monkeypatch.setenv(SIGNED_BY, key.public.fingerprint)
    check_registered(signed.folder)
    _other_weights(signed)
    with pytest.raises(SignatureError, match="is not what was signed: files artifacts/served"):
        check_registered(signed.folder)
    monkeypatch.setenv(SIGNED_BY, "sha256:" + "0" * 64)
    with pytest.raises(SignatureError, match="is signed by another key: expected one of MLBASELINE_SIGNED_BY"):
        check_registered(signed.folder)


def test_without_a_registry_to_ask_a_signature_cannot_be_had(
    signed: SignedVersion, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGNED_BY, key.public.fingerprint)
    with pytest.raises(SignatureError, match="which lies on the tracking server beside the version"):
        check_registered(signed.folder)
    note_version(signed)
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(TrackingError):
        check_registered(signed.folder)
