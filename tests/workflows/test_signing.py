"""`--sign` and `gates.signed_by`, from the suite to the verdict, with real keys and a real tracking store."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline import workflows
from mlbaseline.errors import KeyFileError, SignatureError, SuiteError
from mlbaseline.signing import SIGNED_BY, SigningKey
from mlbaseline.suite.reading import load_suite
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.signing_keys import write_key

RULE = "rule: {kind: trivial, strategy: keyword, rules: {good: '[+*^!]$'}, default: bad}"


@pytest.fixture
def key(cheap_ladder: CheapLadder) -> Path:
    """A key that the suite of the ladder names; the ladder is evaluated."""
    key = write_key(cheap_ladder.folder, kind="p256")
    cheap_ladder.write(RULE, candidate="rule")
    cheap_ladder.edit("gates: {", "gates: {signed_by: [release.pub], ")
    workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    return key


def gate(ladder: CheapLadder) -> int:
    return workflows.gate(ladder.suite, tracking_uri=ladder.uri).exit_code


def test_a_gate_with_keys_passes_signed_comparisons_only(cheap_ladder: CheapLadder, key: Path) -> None:
    workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    with pytest.raises(SignatureError, match=r"is not signed; expected a signature, by one of gates.signed_by"):
        gate(cheap_ladder)
    signed = workflows.compare(cheap_ladder.suite, sign=key, tracking_uri=cheap_ladder.uri).document
    assert gate(cheap_ladder) == 0
    tags = cheap_ladder.run(signed["comparison_run_id"]).data.tags
    assert tags["mlbaseline.signed_by"] == SigningKey.read(key).public.fingerprint


def test_a_forged_verdict_does_not_pass_with_the_signature_of_another(cheap_ladder: CheapLadder, key: Path) -> None:
    """The file, its digest and the tags are changed together; the signature was made for what was there before."""
    from mlbaseline.store import connect, load_assessment
    from mlbaseline.store.comparisons import save_assessment

    run_id = workflows.compare(cheap_ladder.suite, sign=key, tracking_uri=cheap_ladder.uri).document[
        "comparison_run_id"
    ]
    tracker = connect(cheap_ladder.uri, "reviews")
    assessment = load_assessment(tracker, run_id)
    object.__setattr__(assessment.verdict, "reason", "it is better")
    folder = Path(cheap_ladder.run(run_id).info.artifact_uri.removeprefix("file://")) / "comparison"
    tracker.client.set_tag(run_id, "mlbaseline.assessment_sha256", save_assessment(assessment, folder))
    with pytest.raises(SignatureError, match="is not what was signed: assessment_sha256"):
        gate(cheap_ladder)


def test_the_operator_has_a_say_beside_the_suite(
    cheap_ladder: CheapLadder, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may change the suite may name a key in it; the environment is the operator's."""
    workflows.compare(cheap_ladder.suite, sign=key, tracking_uri=cheap_ladder.uri)
    monkeypatch.setenv(SIGNED_BY, str(write_key(cheap_ladder.folder, "operator").with_suffix(".pub")))
    with pytest.raises(SignatureError, match=r"expected one of gates.signed_by and MLBASELINE_SIGNED_BY \(no key that"):
        gate(cheap_ladder)
    monkeypatch.setenv(SIGNED_BY, str(key.with_suffix(".pub")))
    assert gate(cheap_ladder) == 0


def test_a_whole_run_signs_its_comparison(cheap_ladder: CheapLadder, key: Path) -> None:
    cheap_ladder.edit("name: reviews", "name: reviews\nregister_as: reviews-rule")
    document = workflows.run(cheap_ladder.suite, sign=key, tracking_uri=cheap_ladder.uri).document
    assert "left no model that could be registered" in document["not_registered"]
    assert gate(cheap_ladder) == 0


def test_a_key_that_will_not_do_is_refused_before_anything_runs(cheap_ladder: CheapLadder, key: Path) -> None:
    other = write_key(cheap_ladder.folder, "other")
    for command in (workflows.run, workflows.compare, workflows.promote):
        with pytest.raises(SignatureError, match=r"and gates.signed_by does not name it"):
            command(cheap_ladder.suite, sign=other, tracking_uri="http://127.0.0.1:9")
        with pytest.raises(KeyFileError, match=r"nowhere.pem: cannot be read as a key"):
            command(cheap_ladder.suite, sign="nowhere.pem", tracking_uri="http://127.0.0.1:9")
    with pytest.raises(SuiteError, match="leave out --no-verify"):
        workflows.promote(cheap_ladder.suite, sign=key, verify=False, tracking_uri=cheap_ladder.uri)


def test_a_suite_without_keys_has_the_digest_that_it_had(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(RULE, candidate="rule")
    assert "signed_by" not in load_suite(cheap_ladder.suite).model_dump(mode="json")["gates"]
