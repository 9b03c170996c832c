from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Assessment, Mismatch
from mlbaseline.report import closing
from mlbaseline.report.view import Section, Steps, Table
from mlbaseline.report.wording import Wording
from tests.report import assessments as given


def texts(section: Section | None, block: int = 0) -> list[list[str]]:
    assert section is not None
    table = section.blocks[block]
    assert isinstance(table, Table)
    return [[cell.text for cell in row.cells] for row in table.rows]


def steps(assessment: Assessment) -> tuple[str, ...]:
    section = closing.next_steps(Wording(assessment))
    assert section is not None
    assert isinstance(section.blocks[0], Steps)
    return section.blocks[0].items


def test_findings_put_what_needs_attention_first() -> None:
    rows = texts(closing.findings(Wording(given.hold())))
    assert rows[0][:4] == ["latency_p95_s", "✕ fail", "block", "0.731 s is more than 0.5 s"]
    assert rows[0][4] == "latency_p95_s 0.731, limit 0.5"
    assert rows[-1][1] == "n/a"


def test_an_outcome_that_is_not_known_is_never_shown_as_a_pass() -> None:
    base = given.hold()
    odd = replace(base.verdict.findings[0], outcome="odd")
    rows = texts(closing.findings(Wording(replace(base, verdict=replace(base.verdict, findings=(odd,))))))
    assert rows[0][1] == "odd"


def test_the_audit_puts_the_gravest_failure_first() -> None:
    section = closing.audit(Wording(given.hold()))
    rows = texts(section, block=1)
    assert [row[0] for row in rows] == ["MLB401", "MLB305", "MLB302", "MLB101", "MLB103"]
    assert rows[0] == ["MLB401", "No leakage", "✕ fail", "error", "train and test are the same data"]
    assert section is not None and "lets none of these block" in str(section.blocks[0])
    base = given.hold()
    blocked = replace(base, verdict=replace(base.verdict, findings=(base.audit[-1],)))
    lead = closing.audit(Wording(blocked))
    assert lead is not None and lead.blocks[0] == "Of these the suite lets block a promotion: MLB401."


def test_next_steps_of_an_inconclusive_verdict_say_how_many_examples() -> None:
    items = steps(given.inconclusive())
    assert "1,240 test examples" in items[0]
    assert "lora over full is undecided (Δ > +0.010): accuracy +0.018 [−0.023, +0.059]" in items[1]
    assert "smallest detectable difference 0.059" in items[1]


def test_next_steps_of_an_inconclusive_verdict_that_examples_do_not_settle() -> None:
    base = given.inconclusive()
    items = steps(replace(base, verdict=replace(base.verdict, more_examples=None)))
    assert "not expected to settle" in items[0]


def test_next_steps_of_a_hold_name_the_contrast_and_the_gate() -> None:
    items = steps(given.hold())
    assert items[0].startswith("lora over zero_shot on topic: apple misses its margin")
    assert items[1] == "latency_p95_s: 0.731 s is more than 0.5 s"


def test_next_steps_are_cut_after_eight() -> None:
    base = given.hold()
    failed = tuple(replace(row, outcome="fail") for row in base.comparisons)
    items = steps(replace(base, comparisons=failed))
    assert len(items) == 9
    assert items[-1] == "… and 2 more in the tables."


def test_power_compares_the_distance_to_the_margin_with_what_can_be_detected() -> None:
    rows = texts(closing.next_steps(Wording(given.inconclusive())), block=1)
    assert rows[0][3:] == ["300", "+0.008", "0.059", "too small to detect reliably"]
    assert rows[1][-1] == "large enough to detect"


def test_warnings_list_refusals_before_warnings() -> None:
    base = given.hold()
    refused = Mismatch("data.digest", "aa", None, "refuse")
    section = closing.warnings(Wording(replace(base, mismatches=(*base.mismatches, refused))))
    assert texts(section, block=1) == [
        ["data.digest", "refuse", "aa", "—"],
        ["engine.precision", "warn", "fp32", "bf16"],
    ]
    assert closing.warnings(Wording(given.promote())) is None


def test_reproducibility_flattens_the_context_and_lists_every_run() -> None:
    section = closing.reproducibility(Wording(given.promote()))
    context = dict(texts(section, block=0))
    assert context["suite_digest"] == "3f0c" * 16
    assert context["data.test"] == "300"
    assert context["hardware.cpu"] == "AMD EPYC 7R13"
    runs = texts(section, block=1)
    assert ["lora", "2"] in [run[:2] for run in runs]
    assert len(runs) == sum(len(s.run_ids) for s in given.promote().standings)


def test_a_hold_for_want_of_evidence_says_how_much_is_wanting() -> None:
    base = given.hold()
    verdict = replace(base.verdict, more_seeds=2, more_examples=700)
    first = steps(replace(base, verdict=verdict))[0]
    assert first == "Only evidence is missing: with 2 more seeds and 700 more test examples the gates can pass."
