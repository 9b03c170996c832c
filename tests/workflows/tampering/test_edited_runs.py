"""Runs and their files that were changed after the fact are refused (exit 5) or hold the promotion (exit 3)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError
from mlbaseline.suite.reading import load_suite
from tests.support.ladders.walked_ladder import Walked, refused


def test_untouched_it_is_promoted(walked: Walked) -> None:
    outcome = walked.compare()
    document = outcome.document
    assert (document["verdict"], document["registration"]["status"]) == ("promote", "before")
    assert {row["registered"] for row in document["comparisons"] if row["role"] != "exploratory"} == {"before"}
    assert [search["source"] for search in document["slices"]["searches"]] == ["dev"] * 2
    assert len({gap["slice"] for gap in document["slices"]["gaps"]}) >= 1
    assert walked.run_of("rule", split="dev").info.run_name == "rule · dev"


def _flip(path: Path) -> None:
    frame = pd.read_parquet(path / "examples.parquet")
    frame["score.accuracy"] = 1.0 - frame["score.accuracy"]
    frame.to_parquet(path / "examples.parquet", index=False)


def _hurt(path: Path) -> None:
    frame = pd.read_parquet(path / "examples.parquet")
    frame.loc[:50, "score.accuracy"] = np.nan
    frame.to_parquet(path / "examples.parquet", index=False)


def _resign(path: Path) -> None:
    signature = path / "signature.json"
    signature.write_text(signature.read_text().replace('"data.split": "test"', '"data.split": "dev"'))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_flip, r"results/examples.parquet of rule .* is not the file that the run was\s+completed with"),
        (_hurt, r"results/examples.parquet of rule"),
        (_resign, r"results/signature.json of rule"),
        (lambda path: (path / "examples.parquet").unlink(), r"says that it is completed, and has no results/examples"),
        (lambda path: (path / "signature.json").unlink(), r"says that it is completed, and has no results/signature"),
        (shutil.rmtree, r"has no results/examples.parquet and no results/measured.json and no results/signature.json"),
    ],
    ids=["scores", "nan", "signature", "no rows", "no signature", "nothing"],
)
def test_edited_files(walked: Walked, change: Callable[[Path], None], message: str) -> None:
    change(walked.results(walked.run_of("rule")))
    refused(walked, message)


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [
        ("seed", "0", "is tagged with seed 0, and its signature says 1"),
        ("examples_sha256", "0" * 64, "One of them was edited afterwards"),
        ("signature_digest", "0" * 64, "One of them was edited afterwards"),
    ],
)
def test_edited_tags(walked: Walked, tag: str, value: str, message: str) -> None:
    run = walked.run_of("uniform", "1")
    walked.client.set_tag(run.info.run_id, f"mlbaseline.{tag}", value)
    refused(walked, message)


def test_a_matrix_that_was_changed_after_the_runs(walked: Walked) -> None:
    walked.edit("margin: -0.1", "margin: -0.2")
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "registered after the first evaluation of the task" in why
    rows = [row for row in walked.compare().document["comparisons"] if row["role"] != "exploratory"]
    assert {(row["role"], row["registered"]) for row in rows} == {("primary", "before"), ("guardrail", "after")}


def test_changed_rules_do_not_become_the_old_ones_by_a_tag(walked: Walked) -> None:
    """The suite that the first run stored when it started still says otherwise."""

    walked.edit("margin: -0.1", "margin: -0.2")
    first = walked.run_of("majority")
    walked.client.set_tag(first.info.run_id, "mlbaseline.matrix_digest", load_suite(walked.suite).matrix_digest)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "registered after" in why


def test_runs_of_another_dataset_under_the_same_name(walked: Walked) -> None:
    text = (walked.folder / "reviews.csv").read_text(encoding="utf-8")
    (walked.folder / "reviews.csv").write_text(text.replace("soup", "stew"), encoding="utf-8")
    workflows.evaluate(walked.suite, baselines=["rule"], tracking_uri=walked.uri)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "majority has no run that the suite would make now" in why
    assert "it is of other data (digest" in why


def test_a_tag_that_says_other_data_leaves_the_run_aside(walked: Walked) -> None:
    walked.client.set_tag(walked.run_of("uniform", "1").info.run_id, "mlbaseline.task_digest", "0" * 64)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "uniform has no completed evaluation of seed 1" in why


def test_a_missing_seed(walked: Walked) -> None:
    walked.client.delete_run(walked.run_of("uniform", "1").info.run_id)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "uniform has no completed evaluation of seed 1, which the suite names" in why


def test_a_nan_metric(walked: Walked) -> None:
    """Scores are taken from the rows, whatever the run's metrics say; a cost that is none keeps no budget."""
    run_id = walked.run_of("rule").info.run_id
    before = walked.compare().document["comparisons"]
    walked.client.log_metric(run_id, "accuracy", float("nan"))
    assert walked.compare().document["comparisons"] == before


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_a_run_that_is_tagged_completed_and_is_not(walked: Walked, status: str) -> None:
    walked.client.update_run(walked.run_of("uniform", "0").info.run_id, status=status)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "uniform has no completed evaluation of seed 0" in why


def test_a_candidate_that_is_tagged_completed_and_is_not(walked: Walked) -> None:
    walked.client.update_run(walked.run_of("rule").info.run_id, status="RUNNING")
    with pytest.raises(DataError, match="the matrix compares rule, but no completed evaluation of it"):
        walked.compare()


# ---- what counts is bound to the present suite -----------------------------------------------------------------------
