from __future__ import annotations

from dataclasses import replace

from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.findings import audit_section, gates_section
from mlbaseline.report.view import Section, Table
from tests.support.comparisons import assessments as given


def texts(section: Section | None, block: int = 0) -> list[list[str]]:
    assert section is not None
    table = section.blocks[block]
    assert isinstance(table, Table)
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_findings_put_what_needs_attention_first() -> None:
    rows = texts(gates_section(Presenter(given.hold())))
    assert rows[0][:4] == ["latency_p95", "✕ fail", "error", "0.731 s is more than 0.5 s"]
    assert rows[0][4] == "latency_p95_s 0.731, limit 0.5"
    assert len(rows) == 1
    section = gates_section(Presenter(given.hold()))
    assert section is not None and isinstance(section.blocks[1], Table) and section.blocks[1].collapsed
    assert texts(section, block=1)[-1][1] == "n/a"


def test_an_outcome_that_is_not_known_is_never_shown_as_a_pass() -> None:
    base = given.hold()
    odd = replace(base.verdict.findings[0], outcome="odd")
    rows = texts(gates_section(Presenter(replace(base, verdict=replace(base.verdict, findings=(odd,))))))
    assert rows[0][1] == "odd"


def test_the_audit_puts_the_most_severe_failure_first() -> None:
    section = audit_section(Presenter(given.hold()))
    rows = texts(section, block=1)
    assert [row[0] for row in rows] == ["MLB401", "MLB305", "MLB302"]
    assert [row[0] for row in texts(section, block=2)] == ["MLB101", "MLB103"]
    assert rows[0] == ["MLB401", "No leakage between splits", "✕ fail", "error", "train and test are the same data"]
    assert section is not None and "lets none of these block" in str(section.blocks[0])
    base = given.hold()
    blocked = replace(base, verdict=replace(base.verdict, findings=(base.audit[-1],)))
    lead = audit_section(Presenter(blocked))
    assert lead is not None and lead.blocks[0] == "Of these the suite lets block a promotion: MLB401."


def test_the_code_of_a_gate_links_to_its_explanation() -> None:
    base = given.hold()
    held = replace(base.verdict, findings=(replace(base.verdict.findings[0], code="min_seeds"),))
    section = gates_section(Presenter(replace(base, verdict=held)))
    assert section is not None and isinstance(section.blocks[0], Table)
    assert section.blocks[0].rows[0].cells[0].link.endswith("/reference/gates.html#min-seeds")


def test_each_audit_code_links_to_its_explanation_and_nothing_else_gets_into_the_address() -> None:
    base = given.hold()
    odd = replace(base.audit[0], code='MLB101"><script>')
    section = audit_section(Presenter(replace(base, audit=(base.audit[1], odd))))
    assert section is not None
    codes = {
        row.cells[0].text: row.cells[0].link
        for block in section.blocks
        if isinstance(block, Table)
        for row in block.rows
    }
    known, unknown = base.audit[1].code, odd.code
    assert codes[known].endswith(f"/reference/audit.html#{known.lower()}")
    assert codes[unknown].endswith("/reference/audit.html")
