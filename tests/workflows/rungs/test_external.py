"""A published score, from the suite file to the report: logged as a run, read back, never paired."""

from __future__ import annotations

import mlflow
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.store import connect, load_assessment
from tests.support.ladders.cheap_ladder import CheapLadder

PAPER = (
    "paper: {kind: external, metric: accuracy, value: 0.71, n: 2000, source: 'https://example.org', date: 2024-05-01}"
)
BOARD = "board: {kind: external, metric: macro_f1, value: 0.6, standard_error: 0.01, source: a board, protocol: 5-shot}"
RULE = "rule: {kind: production, recorded: {path: rule.csv}}"


def test_a_published_score_is_read_back_and_stands_beside_the_ladder(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(PAPER, BOARD, RULE, candidate="rule")
    cheap_ladder.answers(lambda position: position % 10 > 0).to_csv(cheap_ladder.folder / "rule.csv", index=False)
    outcome = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    run_ids = {e["baseline"]: e["run_id"] for e in outcome.document["evaluations"]}
    run = cheap_ladder.run(run_ids["paper"])
    assert run.data.tags["mlbaseline.kind"] == "evaluation"
    assert run.data.tags["mlbaseline.baseline_kind"] == "external"
    assert run.data.tags["mlbaseline.task_digest"] == run.data.tags["mlbaseline.split"] == "none"
    assert len(run.data.tags["mlbaseline.signature_digest"]) == 64
    assert run.data.metrics == {"accuracy": 0.71}
    assert run.data.params["baseline.date"] == "2024-05-01"
    client = mlflow.MlflowClient(cheap_ladder.uri)
    assert [item.path for item in client.list_artifacts(run.info.run_id, "results")] == ["results/signature.json"]
    comparison = outcome.document["comparison"]
    assert {(row["candidate"], row["published"]) for row in comparison["unpaired"]} == {
        ("rule", "paper"),
        ("rule", "board"),
    }
    assert all("paper" not in (row["candidate"], row["baseline"]) for row in comparison["comparisons"])
    assessment = load_assessment(connect(cheap_ladder.uri, "reviews"), comparison["comparison_run_id"])
    paper, board = assessment.published
    assert (paper.value, paper.n, paper.date, paper.run_id) == (0.71, 2000, "2024-05-01", run_ids["paper"])
    assert (board.standard_error, board.protocol, board.n) == (0.01, "5-shot", None)
    workflows.report(
        None, output=cheap_ladder.folder / "report.md", suite=cheap_ladder.suite, tracking_uri=cheap_ladder.uri
    )
    assert "They decide nothing" in (cheap_ladder.folder / "report.md").read_text(encoding="utf-8")


def test_what_is_corrected_is_another_evaluation(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(PAPER)
    first, again = (
        workflows.evaluate(cheap_ladder.suite, kind="external", tracking_uri=cheap_ladder.uri).document["evaluations"][
            0
        ]
        for _ in range(2)
    )
    cheap_ladder.write(PAPER.replace("0.71", "0.72"))
    (corrected,) = workflows.evaluate(cheap_ladder.suite, kind="external", tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    assert [e["reused"] for e in (first, again, corrected)] == [False, True, False]


def test_it_cannot_be_paired(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(PAPER, RULE)
    text = cheap_ladder.suite.read_text(encoding="utf-8")
    cheap_ladder.suite.write_text(
        text + "\nmatrix: {primary: [{candidate: rule, over: [majority, paper]}]}", encoding="utf-8"
    )
    with pytest.raises(SuiteError, match=r"'paper' is a published score: without answers .* nothing can be paired"):
        workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("metric: accuracy", "metric: mcc"), r"'mcc' is not among the suite's metrics"),
        (("value: 0.71", "value: 71"), "an accuracy is a share from 0 to 1, got 71"),
        (("value: 0.71, ", ""), "give either `value` or the `table`"),
        (("value: 0.71", "table: {path: a.csv, row: {a: b}, value: c, n: d}"), "`n` stands here and in `table`"),
        (("n: 2000", "standard_error: 0"), "standard_error: input should be greater than 0"),
        (("n: 2000", "recorded: {path: a.csv}"), "kind: input should be 'trivial'"),
    ],
)
def test_what_a_published_score_cannot_be(cheap_ladder: CheapLadder, change: tuple[str, str], message: str) -> None:
    cheap_ladder.write(PAPER.replace(*change))
    with pytest.raises(SuiteError, match=message):
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)


LISTED = (
    "listed: {kind: external, metric: accuracy, source: a leaderboard,"
    " protocol: {prompt: '{text}', shots: 5, split: test},"
    " table: {path: board.csv, row: {model: 'b', task: reviews}, value: score, n: count, standard_error: stderr,"
    " date: when, percent: true}}"
)
TABLE = """model,task,score,stderr,count,when
a,reviews,70.0,1.0,500,2025-01
b,reviews,81.5,1.5,1000,2025-02
b,others,50.0,1.5,1000,2025-02
c,reviews,,,,
"""


def test_a_leaderboards_row_is_read_and_its_protocol_held_against_ours(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(LISTED, RULE, candidate="rule")
    (cheap_ladder.folder / "board.csv").write_text(TABLE, encoding="utf-8")
    cheap_ladder.answers(lambda position: position % 10 > 0).to_csv(cheap_ladder.folder / "rule.csv", index=False)
    outcome = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    comparison = outcome.document["comparison"]
    listed = load_assessment(connect(cheap_ladder.uri, "reviews"), comparison["comparison_run_id"]).published[0]
    assert (listed.value, listed.n, listed.standard_error, listed.date) == (0.815, 1000, 0.015, "2025-02")
    assert cheap_ladder.run(listed.run_id).data.metrics == {"accuracy": 0.815}
    (row,) = comparison["unpaired"]
    assert (row["value"], row["protocol_gaps"]) == (0.815, ("shots '5' there, '0' here",))
    workflows.report(
        None, output=cheap_ladder.folder / "report.md", suite=cheap_ladder.suite, tracking_uri=cheap_ladder.uri
    )
    assert "differs, or may: shots '5' there, '0' here" in (cheap_ladder.folder / "report.md").read_text(
        encoding="utf-8"
    )
    (cheap_ladder.folder / "board.csv").write_text(TABLE.replace("81.5", "82.5"), encoding="utf-8")
    (again,) = workflows.evaluate(cheap_ladder.suite, kind="external", tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    assert (again["reused"], again["metrics"]) == (False, {"accuracy": 0.825})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("value: score", "value: points"), "the table has no column points; it has: model, task, score"),
        (("model: 'b'", "model: 'd'"), r"found 0; model holds: a, b, c"),
        ((", task: reviews", ""), r"found 2 \(row 2, row 3\)"),
        (("model: 'b'", "model: 'c'"), "row 4: score is empty"),
        (
            ("percent: true", "percent: false"),
            "an accuracy is a share from 0 to 1, got 81.5; for per cent",
        ),
        (("value: score", "value: when"), "row 2: when is not a number: '2025-02'"),
        (("count", "score"), "expected a whole number of examples"),
    ],
)
def test_a_row_that_is_not_what_the_suite_says(
    cheap_ladder: CheapLadder, change: tuple[str, str], message: str
) -> None:
    cheap_ladder.write(LISTED.replace(*change))
    (cheap_ladder.folder / "board.csv").write_text(TABLE, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
