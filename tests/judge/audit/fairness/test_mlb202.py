"""MLB202: the same text for everybody to read."""

from __future__ import annotations

from dataclasses import replace

from tests.support.comparisons.audit_subjects import KINDS, finding, rung, subject


def test_a_length_limit_of_its_own_is_another_reading() -> None:
    given = [one for name in KINDS for one in rung(name, **{"engine.max_length": 8 if name == "full" else 512})]
    found = finding("MLB202", subject(given))
    assert (found.outcome, found.evidence["fields"]) == ("fail", ["engine.max_length"])


def test_context_that_only_some_rungs_lost() -> None:
    given = [one for name in KINDS for one in rung(name)]
    last = given[-1]
    cut = last.table.frame.assign(truncated=[True] * 7 + [False] * 53)
    given[-1] = replace(last, table=replace(last.table, frame=cut))
    found = finding("MLB202", subject(given))
    assert (found.outcome, found.evidence["truncated"]) == ("fail", {"full (seed 2)": 7})


def test_another_base_model_reads_the_same_text() -> None:
    given = [one for name in KINDS for one in rung(name, **({"training.base_sha256": "x"} if name == "full" else {}))]
    found = finding("MLB202", subject(given))
    assert (found.outcome, found.evidence["one_tokenizer"]) == ("pass", False)
    assert "read the same text" in found.reason
    assert "one tokenizer" in finding("MLB202", subject()).reason


def test_what_a_source_did_not_record_is_no_difference() -> None:
    unknown = {"prompt.template": "unknown", "prompt.chat_template": "unknown", "prompt.shots": "unknown"}
    recorded = [one for name in KINDS for one in rung(name, **(unknown if name == "full" else {}))]
    assert finding("MLB202", subject(recorded)).outcome == "pass"
    endpoint = {"prompt.chat_template": "unknown"}
    chat = [one for name in KINDS for one in rung(name, **(endpoint if name == "full" else {}))]
    assert finding("MLB202", subject(chat)).outcome == "pass"
