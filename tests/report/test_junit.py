from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from mlbaseline.documentation import finding_url
from mlbaseline.records import Assessment, Finding
from mlbaseline.report import render_junit
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def suite_of(assessment: Assessment) -> ET.Element:
    root = ET.fromstring(render_junit(assessment).encode())
    (suite,) = root
    assert root.attrib.items() >= {key: suite.attrib[key] for key in ("tests", "failures", "skipped")}.items()
    return suite


def with_findings(*findings: Finding) -> Assessment:
    base = given.hold()
    return replace(base, verdict=replace(base.verdict, findings=findings))


@pytest.mark.parametrize("name", odd.ALL)
def test_one_case_for_each_finding_whatever_it_says(name: str) -> None:
    assessment = odd.ALL[name]()
    suite = suite_of(assessment)
    assert len(suite.findall("testcase")) == int(suite.attrib["tests"]) == len(assessment.verdict.findings)


def test_what_fails_is_a_failure_and_what_does_not_apply_is_skipped() -> None:
    suite = suite_of(given.hold())
    assert (suite.attrib["failures"], suite.attrib["skipped"], suite.attrib["errors"]) == ("1", "1", "0")
    failed = suite.findall("testcase[failure]")
    assert [case.attrib["classname"] for case in failed] == ["tweets.latency_p95"]
    assert failed[0][0].attrib == {"type": "fail", "message": "0.731 s is more than 0.5 s"}
    assert str(failed[0][0].text).endswith(f"Explained: {finding_url('latency_p95')}")
    assert suite.find("properties/property[@name='verdict']").attrib["value"] == "hold"  # type: ignore[union-attr]


@pytest.mark.parametrize("outcome", ["inconclusive", "nonsense"])
def test_only_a_pass_passes(outcome: str) -> None:
    suite = suite_of(with_findings(Finding("superiority", "error", outcome, "open")))
    assert suite.find("testcase/failure").attrib["type"] == outcome  # type: ignore[union-attr]


def test_a_loser_beside_a_winner_fails_no_build() -> None:
    lost, shared = (
        Finding("min_seeds", "error", "fail", "full: 1 seeds", {"candidate": "full"}),
        Finding("confirmatory", "error", "fail", "too late"),
    )
    held = with_findings(lost, shared)
    assert suite_of(held).attrib["failures"] == "2"
    promoted = replace(held, verdict=replace(held.verdict, decision="promote", winner="lora"))
    suite = suite_of(promoted)
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "1")
    assert suite.find("testcase/skipped").attrib["message"] == "fail, and lora is promoted: full: 1 seeds"  # type: ignore[union-attr]


def test_names_tell_contrasts_apart_and_hold_no_figures() -> None:
    evidence = {"candidate": "lora", "baseline": "majority", "metric": "accuracy", "slice": None, "slice_value": None}
    sliced = {**evidence, "slice": "topic", "slice_value": "cars"}
    cases = suite_of(
        with_findings(
            Finding("superiority", "error", "pass", "+0.1", evidence), Finding("guardrail", "error", "pass", "", sliced)
        )
    ).findall("testcase")
    names = [case.attrib["name"] for case in cases]
    assert names == [
        "superiority · lora · majority · accuracy",
        "guardrail · lora · majority · accuracy · topic · cars",
    ]


def test_hostile_text_stays_text() -> None:
    text = render_junit(odd.hostile())
    assert "<script>" not in text
    message = suite_of(odd.hostile()).find("testcase/failure").attrib["message"]  # type: ignore[union-attr]
    assert message.startswith("<script>alert('x')</script>")
    assert "\x1b" not in message
