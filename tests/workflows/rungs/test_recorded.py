"""Rungs whose answers were given elsewhere, from the suite file to the verdict."""

from __future__ import annotations

import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.store import connect, find_comparison, load_assessment
from tests.support.ladders.cheap_ladder import CheapLadder


def test_recorded_rungs_are_compared_like_any_other(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(
        "human_rule: {kind: production, recorded: {path: rule.csv}}",
        "tuned: {kind: peft, recorded: {path: tuned.parquet}}",
        candidate="tuned",
    )
    rule = cheap_ladder.answers(lambda position: position % 3 > 0).assign(latency_s=0.2, cost_usd=0.001, text="ignored")
    rule.to_csv(cheap_ladder.folder / "rule.csv", index=False)
    tuned = [cheap_ladder.answers(lambda position, s=seed: position % 20 > s).assign(seed=seed) for seed in (0, 1)]
    pd.concat(tuned).to_parquet(cheap_ladder.folder / "tuned.parquet")
    outcome = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    evaluations = {(e["baseline"], e["seed"]): e for e in outcome.document["evaluations"]}
    assert set(evaluations) == {("majority", None), ("human_rule", None), ("tuned", 0), ("tuned", 1)}
    assert evaluations["human_rule", None]["metrics"]["accuracy"] == pytest.approx(2 / 3)
    run = cheap_ladder.run(evaluations["human_rule", None]["run_id"])
    assert run.data.tags["mlbaseline.baseline_kind"] == "production"
    assert run.data.metrics["latency_p95_s"] == pytest.approx(0.2)
    assert run.data.metrics["cost_per_query_usd"] == pytest.approx(0.001)
    assert run.data.params["hardware.device"] == "unknown"
    assert "peak_memory_bytes" not in run.data.metrics
    ladder = cheap_ladder.run(outcome.document["ladder_run_id"])
    assert ladder.info.run_name == "promote tuned: reviews ladder"
    shown = {name: ladder.data.tags[f"mlbaseline.{name}"] for name in ("kind", "verdict", "winner")}
    assert shown == {"kind": "ladder", "verdict": "promote", "winner": "tuned"}
    comparison = outcome.document["comparison"]
    assert comparison["verdict"] == "promote"  # a suite without `register_as` registers nothing
    tracker = connect(cheap_ladder.uri, "reviews")
    assessment = load_assessment(tracker, comparison["comparison_run_id"])
    warned = {(mismatch.field, mismatch.severity) for mismatch in assessment.mismatches}
    assert ("prompt.template", "warn") in warned
    assert {severity for _, severity in warned} == {"warn"}
    assert find_comparison(tracker) is not None
    again = workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    assert all(e["reused"] for e in again.document["evaluations"])


def test_a_file_of_answers_that_is_no_utf_8_is_an_error_and_no_other_text(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write("rule: {kind: production, recorded: {path: rule.csv}}")
    answers = cheap_ladder.answers(lambda position: position > 10).assign(note="Café")
    answers.to_csv(cheap_ladder.folder / "rule.csv", index=False, encoding="cp1252")
    with pytest.raises(DataError, match=r"rule\.csv: line 2 is not UTF-8: byte 0xE9\..*must be saved as UTF-8"):
        workflows.evaluate(cheap_ladder.suite, baselines=["rule"], tracking_uri=cheap_ladder.uri)


def test_other_answers_are_another_evaluation(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write("rule: {kind: production, recorded: {path: rule.jsonl}}")
    for right in (lambda position: position > 10, lambda position: position > 20):
        cheap_ladder.answers(right).to_json(cheap_ladder.folder / "rule.jsonl", orient="records", lines=True)
        (found,) = workflows.evaluate(cheap_ladder.suite, baselines=["rule"], tracking_uri=cheap_ladder.uri).document[
            "evaluations"
        ]
        assert not found["reused"]
    assert found["metrics"]["accuracy"] == pytest.approx(99 / 120)


def test_answers_that_do_not_fit_end_with_their_reasons(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(
        "rule: {kind: production, recorded: {path: rule.csv}}", "lora: {kind: peft, recorded: {path: lora.tsv}}"
    )
    cheap_ladder.answers(bool).iloc[1:].to_csv(cheap_ladder.folder / "rule.csv", index=False)
    with pytest.raises(DataError, match=r"baselines.rule: .*\n  - 1 examples of the split test without a row"):
        workflows.evaluate(cheap_ladder.suite, baselines=["rule"], tracking_uri=cheap_ladder.uri)
    cheap_ladder.answers(bool).to_csv(cheap_ladder.folder / "lora.tsv", index=False, sep="\t")
    with pytest.raises(DataError, match="is trained or drawn with a seed"):
        workflows.evaluate(cheap_ladder.suite, baselines=["lora"], tracking_uri=cheap_ladder.uri)


def test_a_recorded_rung_has_no_model(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(
        "old: {kind: pretrained, recorded: {path: old.csv}, shots: 2}",
        "lora: {kind: peft, method: lora, base: old, learning_rate: 0.1}",
        "live: {kind: production}",
        "nothing: {strategy: majority}",
    )
    with pytest.raises(SuiteError) as caught:
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    said = str(caught.value)
    assert "baselines.old.shots: unknown key" in said
    assert "baselines.lora.base: 'old' is known by its recorded answers only" in said
    assert "baselines.live: give one of `uri` (a registered model), `endpoint` and `recorded`" in said
    assert "baselines.nothing.kind: is missing; expected one of trivial" in said
