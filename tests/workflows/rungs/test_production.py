"""A registered model as the rung to beat: found by its alias, asked through its own flavor, left out if absent."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError, TrackingError, UntrustedModelError
from mlbaseline.store import connect, load_assessment
from tests.support.ladders.cheap_ladder import WAIVED, CheapLadder
from tests.support.models.rule_model import name_by_digest, register

CHAMPION = "champion: {kind: production, uri: 'models:/reviews-rule@champion', optional: true}"
RULE = "rule: {kind: trivial, strategy: keyword, rules: {good: '[+*^!]$'}, default: bad}"


def test_before_there_is_one_it_is_left_out_and_afterwards_it_counts(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(RULE, CHAMPION)
    matrix = "matrix:\n  primary: [{candidate: rule, over: [majority, champion]}]\n"
    cheap_ladder.suite.write_text(
        cheap_ladder.suite.read_text(encoding="utf-8") + "\n" + matrix + WAIVED, encoding="utf-8"
    )
    first = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    assert [e["baseline"] for e in first["evaluations"]] == ["majority", "rule"]
    comparison = first["comparison"]
    assert comparison["verdict"] == "promote"
    left_out = [
        finding
        for finding in comparison["findings"]
        if finding["code"] == "superiority" and finding["outcome"] == "not_applicable"
    ]
    assert [finding["reason"] for finding in left_out] == [
        "rule over champion: left out, there is no such model in production yet"
    ]
    (audited,) = (finding for finding in comparison["audit"] if finding["code"] == "MLB103")
    assert (audited["outcome"], audited["evidence"]) == ("pass", {"baselines": ["champion"]})

    register(cheap_ladder, "+*", "text")
    with pytest.raises(DataError, match="compares champion, but no completed evaluation"):
        workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    second = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    champion = second["evaluations"][2]
    assert (champion["baseline"], champion["reused"]) == ("champion", False)
    run = cheap_ladder.run(champion["run_id"])
    assert run.data.params["production.version"] == "reviews-rule/1"
    assert run.data.params["hardware.device"] == "cpu"
    assert run.data.metrics["compute_s_per_query"] > 0
    path = mlflow.MlflowClient(cheap_ladder.uri).download_artifacts(champion["run_id"], "results/examples.parquet")
    rows = pd.read_parquet(path).set_index("example_id")
    texts = {example.id: str(example.fields["text"]) for example in cheap_ladder.test_data().examples}
    answered = rows[rows["error"].isna()]
    expected = ["good" if texts[id][-1] in "+*" else "bad" for id in answered.index]
    assert answered["prediction"].tolist() == expected
    failed = rows["error"].dropna()  # asked alone, to be timed, it raises on soup
    assert all(text == "ValueError: no soup today" for text in failed)
    assert all("soup" in texts[id] for id in failed.index)
    assert len(rows["latency_s"].dropna()) + len(failed) == 24
    assert ("rule", "champion") in {(c["candidate"], c["baseline"]) for c in second["comparison"]["comparisons"]}
    assessment = load_assessment(connect(cheap_ladder.uri, "reviews"), second["comparison"]["comparison_run_id"])
    assert assessment.context["in production, champion"] == "reviews-rule/1"


def test_a_moved_alias_is_another_model(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(RULE, CHAMPION, candidate="rule")
    register(cheap_ladder, "+*", "text")
    evaluate = lambda: workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri).document  # noqa: E731
    (first,), (again,) = evaluate()["evaluations"], evaluate()["evaluations"]
    assert (first["reused"], again["reused"]) == (False, True)
    register(cheap_ladder, "+*^!", "text")
    workflows.evaluate(cheap_ladder.suite, kind="trivial", tracking_uri=cheap_ladder.uri)
    stale = workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    assert "champion" not in {row["baseline"] for row in stale["comparisons"]}
    (moved,) = evaluate()["evaluations"]
    assert not moved["reused"]
    assert moved["metrics"]["accuracy"] > first["metrics"]["accuracy"]


def test_what_cannot_be_asked_is_said(cheap_ladder: CheapLadder, tmp_path: Path) -> None:
    cheap_ladder.write(CHAMPION.replace(", optional: true", ""))
    with pytest.raises(DataError, match=r"no models:/reviews-rule@champion on .* `optional: true`"):
        workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri)
    register(cheap_ladder, "+*", "text", "title")
    with pytest.raises(DataError, match=r"\(reviews-rule/1\): needs the columns .* no 'title' to show it"):
        workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri)
    register(cheap_ladder, "+*", "label")
    with pytest.raises(DataError, match="no 'label' to show it"):  # it is the target
        workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri)
    cheap_ladder.write("champion: {kind: production, uri: 'models:/reviews-rule@champion/artifacts'}")
    with pytest.raises(TrackingError, match="expected a model, not a path inside one"):
        workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri)


def test_code_from_the_registry_does_not_run_unless_the_suite_names_it_by_digest(cheap_ladder: CheapLadder) -> None:
    """trust.md: a model's code ran when it stood as a production rung."""
    register(cheap_ladder, "+*", "text")
    cheap_ladder.write(CHAMPION)
    evaluate = lambda: workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri).document  # noqa: E731
    with pytest.raises(UntrustedModelError, match=r"\(reviews-rule/1\): .* runs code from the registry") as caught:
        evaluate()
    sha256 = name_by_digest(cheap_ladder, "models:/reviews-rule@champion")
    assert f'sha256: "{sha256}"' in str(caught.value)
    assert len(evaluate()["evaluations"]) == 1
    cheap_ladder.edit(sha256, "0" * 64)
    with pytest.raises(UntrustedModelError, match=r"expected the files with the digest 0000000000000000…"):
        evaluate()


def test_a_digest_of_digits_needs_quotes(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(CHAMPION.replace("champion'", f"champion', sha256: {'1' * 64}"))
    message = r"baselines.champion.sha256: expected a text, got the number 1{64}; put it in quotes"
    with pytest.raises(SuiteError, match=message):
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)


KILLS_ITS_PARENT = """
import os, signal
from pathlib import Path
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Rule(PythonModel):
    def predict(self, context, model_input, params=None):
        log = Path("LOG")
        with log.open("a") as file:
            file.write("".join(f"{text}\\n" for text in model_input["text"]))
        if len(log.read_text().splitlines()) > 60 and not log.with_suffix(".killed").exists():
            log.with_suffix(".killed").touch()
            os.kill(os.getppid(), signal.SIGKILL)
        return ["good" for _ in model_input["text"]]

set_model(Rule())
"""


def test_a_kill_loses_no_answer_of_a_model_of_others(cheap_ladder: CheapLadder) -> None:
    log = cheap_ladder.folder / "asked.txt"
    cheap_ladder.write(CHAMPION)
    register(cheap_ladder, "", "text", code=KILLS_ITS_PARENT.replace("LOG", str(log)))
    evaluate = ("evaluate", str(cheap_ladder.suite), "--kind", "production", "--tracking-uri", cheap_ladder.uri)
    cheap_ladder.command(*evaluate, expect=-9)
    before = log.read_text(encoding="utf-8").splitlines()
    (done,) = cheap_ladder.document(*evaluate)["evaluations"]
    after = log.read_text(encoding="utf-8").splitlines()[len(before) :]
    last_batch = 32
    assert done["baseline"] == "champion"
    assert not set(before[:-last_batch]) & set(after)
    assert len(set(before) | set(after)) == len(cheap_ladder.test_data().examples)
