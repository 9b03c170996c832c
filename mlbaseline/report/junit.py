"""Assessment ─▶ JUnit XML, which CI systems show as test results."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from mlbaseline import formats
from mlbaseline.documentation import finding_url
from mlbaseline.records import Assessment, Decision, Finding, Outcome, Verdict

_NAMING = ("candidate", "baseline", "metric", "slice", "slice_value")


def render_junit(assessment: Assessment) -> str:
    """Render one test case for each finding of the verdict; ends with a newline.

    Only what passed is a passed test: an inconclusive finding fails as one of type `inconclusive`, because most systems
    let a skipped test through. Skipped is what does not apply, and what another candidate missed where one is promoted,
    so that there are failures exactly where the gate does not pass. Names hold no figures: they keep their history.
    """
    suite = formats.clean(assessment.suite)
    cases = [_case(suite, finding, assessment.verdict) for finding in assessment.verdict.findings]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
    }
    root = ET.Element("testsuites", {"name": "mlbaseline", **counts})
    group = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    properties = ET.SubElement(group, "properties")
    for name, value in (("verdict", assessment.verdict.decision), ("reason", assessment.verdict.reason)):
        ET.SubElement(properties, "property", name=name, value=formats.clean(value))
    group.extend(cases)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: str, finding: Finding, verdict: Verdict) -> ET.Element:
    about = [str(finding.evidence[key]) for key in _NAMING if finding.evidence.get(key) is not None]
    name = formats.clean(" · ".join([finding.title or finding.code, *about]))
    case = ET.Element("testcase", classname=f"{suite}.{formats.clean(finding.code)}", name=name)
    reason, outcome = formats.clean(finding.reason), formats.clean(finding.outcome)
    if finding.outcome == Outcome.PASS:
        ET.SubElement(case, "system-out").text = reason
    elif finding.outcome == Outcome.NOT_APPLICABLE:
        ET.SubElement(case, "skipped", message=reason)
    elif verdict.decision == Decision.PROMOTE and finding.evidence.get("candidate") not in (None, verdict.winner):
        winner = formats.clean(str(verdict.winner))
        ET.SubElement(case, "skipped", message=f"{outcome}, and {winner} is promoted: {reason}")
    else:
        ET.SubElement(case, "failure", type=outcome, message=reason).text = "\n".join(
            filter(None, (formats.plain(finding.evidence), f"Explained: {finding_url(finding.code)}"))
        )
    return case
