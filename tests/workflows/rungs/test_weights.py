"""Weights of the data's own, from the suite file to the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError
from tests.support.ladders.cheap_ladder import CheapLadder

RULE = "rule: {kind: production, recorded: {path: rule.csv}}"


@pytest.fixture
def ladder(cheap_ladder: CheapLadder) -> CheapLadder:
    """Reviews with weights, half of them ten times as heavy; the rule is right where they are light."""
    data = pd.read_csv(cheap_ladder.folder / "reviews.csv")
    data.assign(weight=np.where(np.arange(len(data)) % 2, 10.0, 1.0)).to_csv(
        cheap_ladder.folder / "reviews.csv", index=False
    )
    cheap_ladder.write(RULE, candidate="rule")
    heavy = [example.fields["weight"] for example in cheap_ladder.test_data().examples]
    answers = cheap_ladder.answers(lambda position: float(heavy[position]) == 1.0)
    answers.to_csv(cheap_ladder.folder / "rule.csv", index=False)
    return cheap_ladder


def weigh(ladder: CheapLadder) -> None:
    text = ladder.suite.read_text(encoding="utf-8")
    ladder.suite.write_text(text.replace("matrix:\n", "matrix:\n  weights: {column: weight}\n"), encoding="utf-8")


def test_the_report_has_the_weighted_and_the_plain_difference(ladder: CheapLadder) -> None:
    weigh(ladder)
    outcome = workflows.run(ladder.suite, tracking_uri=ladder.uri)
    row = outcome.document["comparison"]["comparisons"][0]
    assert (row["candidate"], row["role"], row["method"]) == ("rule", "primary", "weighted_t")
    assert row["candidate_mean"] < 0.2  # of a rule that is right on half of the test, the light one
    assert row["plain_delta"] > row["delta"] + 0.2
    assert row["effective_n"] == pytest.approx(120 * 11**2 / (2 * 101), rel=0.15)
    report = ladder.folder / "report.md"
    workflows.report(None, output=report, suite=ladder.suite, tracking_uri=ladder.uri)
    assert "weighted by the column weight" in report.read_text(encoding="utf-8")


def test_runs_of_before_the_weights_are_evaluated_again(ladder: CheapLadder) -> None:
    workflows.run(ladder.suite, tracking_uri=ladder.uri)
    weigh(ladder)
    with pytest.raises(DataError, match="evaluate --fresh"):
        workflows.compare(ladder.suite, tracking_uri=ladder.uri)
    workflows.evaluate(ladder.suite, fresh=True, tracking_uri=ladder.uri)
    document = workflows.compare(ladder.suite, tracking_uri=ladder.uri).document
    assert document["comparisons"][0]["effective_n"] is not None
