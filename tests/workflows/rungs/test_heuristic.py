"""A rule in Python as a rung: from the suite file to a run."""

from __future__ import annotations

import pytest

from mlbaseline import workflows
from mlbaseline.errors import SuiteError
from tests.support.ladders.cheap_ladder import CheapLadder

RULE = "rule: {kind: trivial, strategy: callable, function: 'rules:label'}"


def test_a_rule_is_evaluated_and_its_errors_are_rows(cheap_ladder: CheapLadder) -> None:
    (cheap_ladder.folder / "rules.py").write_text(
        "def label(fields):\n    return {'+': 'good', '*': 'good', '-': 'bad', '#': 'bad'}[fields['text'][-1]]\n",
        encoding="utf-8",
    )
    cheap_ladder.write(RULE, candidate="rule")
    outcome = workflows.evaluate(cheap_ladder.suite, kind="trivial", tracking_uri=cheap_ladder.uri)
    (rule,) = (e for e in outcome.document["evaluations"] if e["baseline"] == "rule")
    metrics = cheap_ladder.run(rule["run_id"]).data.metrics
    assert 0.3 < metrics["error_rate"] < 0.7
    assert metrics["accuracy"] == pytest.approx(1.0 - metrics["error_rate"])
    assert rule["seed"] is None


@pytest.mark.parametrize(
    "spec",
    [
        "rule: {kind: trivial, strategy: callable}",
        "rule: {kind: trivial, strategy: majority, function: 'rules:label'}",
    ],
)
def test_function_and_strategy_go_together(cheap_ladder: CheapLadder, spec: str) -> None:
    cheap_ladder.write(spec)
    with pytest.raises(SuiteError, match="goes with strategy `callable`"):
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
