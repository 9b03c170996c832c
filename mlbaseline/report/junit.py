"""The findings of a gate as JUnit XML, which CI systems show as test results."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from mlbaseline.records import Assessment, Finding
from mlbaseline.report import formats

_NAMING = ("candidate", "baseline", "metric", "slice", "slice_value")


def render_junit(assessment: Assessment) -> str:
    """One test case for each finding of the verdict; ends with a newline.

    Only what passed is a passed test: an inconclusive finding fails as one of type `inconclusive`, because most systems
    let a skipped test through. What does not apply is skipped. Names hold no figures, so that they keep their history.
    """
    findings = assessment.verdict.findings
    suite = formats.clean(assessment.suite)
    counts = {
        "tests": str(len(findings)),
        "failures": str(sum(_fails(finding) for finding in findings)),
        "errors": "0",
        "skipped": str(sum(finding.outcome == "not_applicable" for finding in findings)),
    }
    root = ET.Element("testsuites", {"name": "mlbaseline", **counts})
    group = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    properties = ET.SubElement(group, "properties")
    for name, value in (("verdict", assessment.verdict.decision), ("reason", assessment.verdict.reason)):
        ET.SubElement(properties, "property", name=name, value=formats.clean(value))
    for finding in findings:
        _case(group, suite, finding)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(group: ET.Element, suite: str, finding: Finding) -> None:
    about = [str(finding.evidence[key]) for key in _NAMING if finding.evidence.get(key) is not None]
    name = formats.clean(" · ".join([finding.title or finding.code, *about]))
    case = ET.SubElement(group, "testcase", classname=f"{suite}.{formats.clean(finding.code)}", name=name)
    reason = formats.clean(finding.reason)
    if _fails(finding):
        kind = formats.clean(finding.outcome)
        failure = ET.SubElement(case, "failure", type=kind, message=reason)
        failure.text = formats.plain(finding.evidence)
    elif finding.outcome == "not_applicable":
        ET.SubElement(case, "skipped", message=reason)
    else:
        ET.SubElement(case, "system-out").text = reason


def _fails(finding: Finding) -> bool:
    return finding.outcome not in ("pass", "not_applicable")
