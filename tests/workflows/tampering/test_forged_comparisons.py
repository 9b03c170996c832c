"""What decides is derived from the runs, whatever a comparison says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlbaseline import workflows
from mlbaseline.errors import IncomparableError, TrackingError
from mlbaseline.records import Decision
from mlbaseline.suite.reading import load_suite
from tests.support.ladders.walked_ladder import Walked, refused


def forge_comparison(walked: Walked, run_id: str, **changes: object) -> str:
    """A comparison written by hand: a copy of a real one with its verdict turned, and with a digest that fits."""
    from mlbaseline.store import connect, load_assessment
    from mlbaseline.store.comparisons import log_comparison
    from mlbaseline.store.preregistration import TASK_DIGEST
    from mlbaseline.store.server.tracking import open_run, suite_tags

    tracker = connect(walked.uri, "reviews")
    assessment = load_assessment(tracker, run_id)
    verdict = replace(assessment.verdict, decision=Decision.PROMOTE, winner="rule", winner_seed=None)
    suite = load_suite(walked.suite)
    tags = {**suite_tags(suite), TASK_DIGEST: walked.client.get_run(run_id).data.tags[TASK_DIGEST]}
    rendered = walked.folder / "rendered"
    rendered.mkdir(exist_ok=True)
    with open_run(tracker, "comparison", name="forged", tags=tags) as run:
        log_comparison(run, replace(assessment, verdict=verdict, **changes), rendered, suite=suite)  # type: ignore[arg-type]
    return run.run_id


def test_a_comparison_that_was_written_by_hand_is_found_out_by_deriving_it_again(walked: Walked) -> None:
    walked.client.delete_run(walked.run_of("uniform", "1").info.run_id)
    held = walked.compare().document["comparison_run_id"]
    forged = forge_comparison(walked, held)
    assert workflows.gate(walked.suite, comparison=forged, tracking_uri=walked.uri).exit_code == 0
    with pytest.raises(IncomparableError, match="verdict: stored promote, derived hold") as caught:
        workflows.gate(walked.suite, comparison=forged, verify=True, tracking_uri=walked.uri)
    assert caught.value.exit_code == 5


def test_an_honest_comparison_verifies(walked: Walked) -> None:
    run_id = walked.compare().document["comparison_run_id"]
    assert workflows.gate(walked.suite, comparison=run_id, verify=True, tracking_uri=walked.uri).exit_code == 0


def test_means_that_were_edited_with_their_digest_are_found_out(walked: Walked) -> None:
    from mlbaseline.store import connect, load_assessment

    run_id = walked.compare().document["comparison_run_id"]
    assessment = load_assessment(connect(walked.uri, "reviews"), run_id)
    rows = tuple(replace(row, delta=0.6) for row in assessment.comparisons)
    forged = forge_comparison(walked, run_id, comparisons=rows)
    with pytest.raises(IncomparableError, match=r"accuracy checkpoint: delta stored 0\.6, derived 0\.49"):
        workflows.gate(walked.suite, comparison=forged, verify=True, tracking_uri=walked.uri)


@pytest.mark.parametrize("what", ["running", "another experiment", "dated 2100", "dated 1970"])
def test_a_comparison_that_cannot_be_one_is_none(walked: Walked, what: str) -> None:
    real = walked.compare().document["comparison_run_id"]
    run, client = walked.client.get_run(real), walked.client
    experiment = run.info.experiment_id if what != "another experiment" else client.create_experiment("elsewhere")
    start = {"dated 2100": 4_102_444_800_000, "dated 1970": 1}.get(what)
    forged = client.create_run(experiment, start_time=start, tags=run.data.tags).info.run_id
    if what != "running":
        client.set_terminated(forged, "FINISHED")
    with pytest.raises(TrackingError, match=r"expected .* to be a completed comparison"):
        workflows.gate(walked.suite, comparison=forged, tracking_uri=walked.uri)
    document = workflows.gate(walked.suite, tracking_uri=walked.uri).document
    assert document["comparison_run_id"] == real  # the newest one that counts


def test_run_metrics_and_parameters_decide_nothing(walked: Walked) -> None:
    """Memory, times, dev scores and the machine come from `results/measured.json`, under a digest."""
    walked.edit("cost_per_query_usd: 1.0", "cost_per_query_usd: 1.0, peak_memory_bytes: 1000")
    before = walked.compare().document
    (memory,) = (f for f in before["findings"] if f["code"] == "peak_memory")
    assert memory["outcome"] == "fail"
    for name in ("peak_memory_bytes", "train_s", "dev/accuracy"):
        walked.client.log_metric(walked.run_of("rule").info.run_id, name, 1.0)
    after = walked.compare().document
    for key in ("verdict", "findings", "standings"):
        assert after[key] == before[key]


def test_an_edited_measured_file_is_refused(walked: Walked) -> None:
    path = walked.results(walked.run_of("rule")) / "measured.json"
    path.write_text(path.read_text().replace('"peak_memory_bytes": ', '"peak_memory_bytes": 0'), encoding="utf-8")
    refused(walked, r"results/measured.json of rule .* is not the file that the run was\s+completed with")


def test_a_started_run_of_1970_does_not_register_rules(walked: Walked) -> None:
    """trust.md: one `started` run with start_time=1 made rules "registered before the first evaluation"."""
    walked.edit("margin: -0.1", "margin: -0.2")
    first = walked.run_of("majority")
    tags = {**first.data.tags, "mlbaseline.status": "started"}
    tags["mlbaseline.matrix_digest"] = load_suite(walked.suite).matrix_digest
    walked.client.create_run(first.info.experiment_id, start_time=1, tags=tags)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "registered after the first evaluation" in why


def test_comparing_the_same_runs_by_the_same_rules_is_one_look(walked: Walked) -> None:
    looks = [walked.compare().document["registration"]["test_looks"] for _ in range(3)]
    assert looks == [1, 1, 1]
    walked.edit("margin: -0.1", "margin: -0.2")
    assert walked.compare().document["registration"]["test_looks"] == 2
    workflows.evaluate(walked.suite, baselines=["rule"], fresh=True, tracking_uri=walked.uri)
    assert walked.compare().document["registration"]["test_looks"] == 3


def test_a_winner_without_a_model_gets_its_table_and_an_exit_code_that_says_so(walked: Walked) -> None:
    walked.edit("name: reviews", "name: reviews\nregister_as: reviews-rule")
    outcome = workflows.run(walked.suite, tracking_uri=walked.uri)
    assert outcome.exit_code == 1
    assert (outcome.document["comparison"]["verdict"], outcome.document["promotion"]) == ("promote", None)
    assert "left no model that could be registered" in outcome.document["not_registered"]
    assert Path(outcome.document["comparison"]["report"]).is_file()
    assert "Not registered: rule" in outcome.text(False, 100)
    ladder = walked.client.get_run(outcome.document["ladder_run_id"])
    assert (ladder.info.status, ladder.data.tags["mlbaseline.status"]) == ("FINISHED", "completed")


def test_a_waiver_stands_in_the_verdict_and_in_the_tags(walked: Walked) -> None:
    document = walked.compare().document
    assert document["waived"] == {"MLB102": "rules only, there is no checkpoint"}
    assert "waived: MLB102 (rules only, there is no checkpoint)" in document["reason"]
    tags = walked.client.get_run(document["comparison_run_id"]).data.tags
    assert tags["mlbaseline.waived"] == "MLB102: rules only, there is no checkpoint"
    walked.edit(', waive: {MLB102: "rules only, there is no checkpoint"}', "")
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "untouched models: none" in why
