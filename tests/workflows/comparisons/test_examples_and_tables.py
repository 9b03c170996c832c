"""Examples one by one and tables for papers, from the runs on the server."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict

import mlflow
import pytest
import yaml

from mlbaseline import workflows
from mlbaseline.errors import DataError, IncomparableError, SuiteError, TrackingError
from mlbaseline.store import connect, load_assessment
from tests.support.ladders.cheap_ladder import CheapLadder


@pytest.fixture
def ladder(cheap_ladder: CheapLadder) -> CheapLadder:
    """A rule that is right on two of three examples, compared with the majority."""
    cheap_ladder.write("rule: {kind: production, recorded: {path: rule.csv}}", candidate="rule")
    cheap_ladder.answers(lambda position: position % 3 > 0).to_csv(cheap_ladder.folder / "rule.csv", index=False)
    workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    return cheap_ladder


def test_examples_come_with_what_was_asked_and_what_both_answered(ladder: CheapLadder) -> None:
    targets = {example.id: (example.target, example.fields["review"]) for example in ladder.test_data().examples}
    shown = workflows.examples(ladder.suite, candidate="rule", baseline="majority", tracking_uri=ladder.uri)
    counts, examples = shown.document["counts"], shown.document["examples"]
    assert sum(counts.values()) == len(examples) == 120
    assert counts["won"] + counts["both_right"] == 80
    for example in examples:
        assert (example["target"], example["input"]) == targets[example["example_id"]]
        assert (example["candidate"]["prediction"] == example["target"]) == (example["candidate"]["score"] == 1)
    won = workflows.examples(ladder.suite, candidate="rule", baseline="majority", won=True, tracking_uri=ladder.uri)
    assert {example["change"] for example in won.document["examples"]} == {"won"}
    assert len(won.document["examples"]) == counts["won"]
    assert f"{counts['won']} won" in won.text(False, 100)


def test_examples_go_to_files(ladder: CheapLadder) -> None:
    def write(name: str, **options: bool) -> None:
        workflows.examples(
            ladder.suite, candidate="rule", baseline="majority", output=ladder.folder / name, tracking_uri=ladder.uri,
            **options,
        )  # fmt: skip

    write("out/all.csv")
    write("out/lost.jsonl", lost=True)
    with (ladder.folder / "out/all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = (ladder.folder / "out/lost.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 120
    assert [json.loads(line)["example_id"] for line in lines] == [
        r["example_id"] for r in rows if r["change"] == "lost"
    ]
    with pytest.raises(SuiteError, match=r"ends in \.csv or \.jsonl"):
        write("out/all.xlsx")


def test_a_rung_of_the_matrix_may_lack_an_evaluation(ladder: CheapLadder) -> None:
    """As a new champion does after a promotion."""
    rungs = ["rule: {kind: production, recorded: {path: rule.csv}}", "later: {kind: trivial, strategy: uniform}"]
    ladder.write(*rungs, candidate="rule")
    ladder.edit("over: [majority]", "over: [majority, later]")
    with pytest.raises(DataError, match="the matrix compares later"):
        workflows.compare(ladder.suite, tracking_uri=ladder.uri)
    shown = workflows.examples(ladder.suite, candidate="rule", baseline="majority", tracking_uri=ladder.uri)
    assert sum(shown.document["counts"].values()) == 120
    (plan,) = workflows.power(ladder.suite, tracking_uri=ladder.uri).document["plans"]
    assert (plan["candidate"], plan["baseline"]) == ("rule", "majority")


def test_changed_data_is_not_shown_as_what_was_answered(ladder: CheapLadder) -> None:
    path = ladder.folder / "reviews.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("soup", "stew"), encoding="utf-8")
    with pytest.raises(IncomparableError, match="no run is one that the suite would make now"):
        workflows.examples(ladder.suite, candidate="rule", baseline="majority", tracking_uri=ladder.uri)


def test_an_unknown_rung_is_told_which_there_are(ladder: CheapLadder) -> None:
    with pytest.raises(DataError, match="there is: majority, rule"):
        workflows.examples(ladder.suite, candidate="rules", baseline="majority", tracking_uri=ladder.uri)


def test_a_comparison_keeps_examples_and_classes_for_its_report(ladder: CheapLadder) -> None:
    outcome = workflows.compare(ladder.suite, tracking_uri=ladder.uri)
    run_id = outcome.document["comparison_run_id"]
    assessment = load_assessment(connect(ladder.uri, "reviews"), run_id)
    counts = {"train": 96, "dev": 32, "test": 120, "rows_read": 264, "left_over": 16}
    assert assessment.context["data"] == {**counts, "files": {"source": "reviews.csv: csv, UTF-8, 264 rows"}}
    shown = assessment.examples
    assert shown is not None
    assert [confusion.baseline for confusion in shown.confusions] == ["majority", "rule"]
    (pair,) = shown.pairs
    assert sum(pair.counts.values()) == 120
    assert all(example.input for example in pair.examples)
    workflows.report(run_id, output=ladder.folder / "report.html", tracking_uri=ladder.uri)
    assert mlflow.MlflowClient(ladder.uri).get_experiment_by_name("tweets") is None
    page = (ladder.folder / "report.html").read_text(encoding="utf-8")
    assert str(pair.examples[0].input).split()[1] in page
    assert 'id="classes"' in page


def test_the_table_of_the_newest_comparison(ladder: CheapLadder) -> None:
    shown = workflows.table(ladder.suite, table_format="latex", tracking_uri=ladder.uri)
    assert r"\toprule" in shown.text(False, 80)
    assert r"rule & 1 & \textbf{0.667}\textsuperscript{a}" in shown.document["table"]
    output = ladder.folder / "out/table.csv"
    written = workflows.table(ladder.suite, output=output, tracking_uri=ladder.uri)
    assert written.document["output"] == str(output)
    assert output.read_text(encoding="utf-8").startswith("rung,kind,metric,value,low,high,level,n,")
    with pytest.raises(SuiteError, match=r"\.tex, \.md, \.csv, or --format; got 'table\.txt'"):
        workflows.table(ladder.suite, output=output.with_suffix(".txt"), tracking_uri=ladder.uri)


def test_a_notebook_takes_a_mapping_and_shows_text_and_rows(ladder: CheapLadder) -> None:
    content = yaml.safe_load(ladder.suite.read_text(encoding="utf-8"))
    compared = workflows.compare(content, tracking_uri=ladder.uri)
    assert compared.to_frame()["candidate"].tolist()[0] == "rule"
    page = compared._repr_html_()
    assert compared.verdict.decision.capitalize() in page
    assert "rule over majority" in page
    evaluated = workflows.evaluate(content, tracking_uri=ladder.uri)
    assert [(one.baseline, one.seed, one.reused) for one in evaluated.evaluations] == [
        *(("majority", None, True), ("rule", None, True)),
    ]
    frame = evaluated.to_frame().set_index("baseline")
    assert frame.loc["rule", "accuracy"] == pytest.approx(2 / 3, abs=0.01)
    assert frame["seed"].isna().all()
    assert "<td>rule</td>" in evaluated._repr_html_()
    with pytest.raises(ValueError, match="the document holds no rows; it has: "):
        workflows.schema().to_frame()
    with pytest.raises(SuiteError, match="expected mappings, lists, texts and numbers only"):
        workflows.compare({**content, "seeds": {1, 2}}, tracking_uri=ladder.uri)


def test_a_comparison_is_given_as_records_plots_and_examples(ladder: CheapLadder) -> None:
    compared = workflows.compare(ladder.suite, tracking_uri=ladder.uri)
    assert compared.verdict is compared.assessment.verdict
    rows = [asdict(row) for row in compared.assessment.comparisons]
    assert rows == compared.document["comparisons"]
    drawing = compared.plot()
    assert drawing.svg.startswith("<svg")
    assert drawing.svg in drawing._repr_html_()
    with pytest.raises(ValueError, match="no plot 'violin'; this comparison has: forest"):
        compared.plot("violin")
    shown = compared.examples(candidate="rule", baseline="majority")
    pair = next(pair for pair in compared.assessment.examples.pairs if pair.baseline == "majority")  # type: ignore[union-attr]
    assert shown["example_id"].tolist() == [example.example_id for example in pair.examples]
    assert set(shown["change"]) <= {"won", "lost", "both_wrong", "both_right"}
    assert compared.examples(candidate="nobody").empty


def test_a_report_without_a_name_is_that_of_the_newest_comparison(ladder: CheapLadder) -> None:
    page = ladder.folder / "report.md"
    written = workflows.report(None, output=page, tracking_uri=ladder.uri)
    newest = workflows.compare(ladder.suite, tracking_uri=ladder.uri).document["comparison_run_id"]
    assert written.document["comparison_run_id"] != newest
    assert workflows.report(None, output=page, tracking_uri=ladder.uri).document["comparison_run_id"] == newest
    with pytest.raises(TrackingError, match="no completed comparison of any suite"):
        workflows.report(None, output=page, tracking_uri=f"sqlite:///{ladder.folder}/other.db")
