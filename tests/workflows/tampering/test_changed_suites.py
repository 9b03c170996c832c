"""What counts is bound to the present suite and its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbaseline import workflows
from mlbaseline.errors import IncomparableError
from tests.support.ladders.walked_ladder import SUITE, Walked, refused
from tests.support.ladders.workplace import write_reviews

CHANGES = {
    "prompt": ('prompt: "{text}"', 'prompt: "Review: {text}"', "task.prompt: '{text}' before, 'Review: {text}' now"),
    "split": ("test: 120, seed: 1", "test: 100, seed: 2", "task.split.seed: 1 before, 2 now"),
    "options": ("default: bad", "default: good", "baselines.rule.default: 'bad' before, 'good' now"),
    "metrics": ("[accuracy, macro_f1]", "[accuracy]", "metrics: ['accuracy', 'macro_f1'] before, ['accuracy'] now"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_suite_that_was_changed_after_the_comparison_has_no_verdict(walked: Walked, change: str) -> None:
    walked.compare()
    old, new, difference = CHANGES[change]
    walked.edit(old, new)
    for command in (workflows.gate, workflows.promote):
        with pytest.raises(IncomparableError) as caught:
            command(walked.suite, tracking_uri=walked.uri)
        assert caught.value.exit_code == 5
        assert difference in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("split", "it is of other data"),
        ("metrics", "metric.names is 'accuracy,macro_f1' in the run, 'accuracy' by the suite"),
    ],
)
def test_runs_of_a_suite_that_was_changed_do_not_count(walked: Walked, change: str, reason: str) -> None:
    walked.edit(*CHANGES[change][:2])
    refused(walked, reason)


def test_a_rung_whose_options_were_changed_holds(walked: Walked) -> None:
    walked.edit(*CHANGES["options"][:2])
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "rule has no run that the suite would make now" in why
    assert "baseline.default is bad in the run, good by the suite" in why


def test_data_that_was_replaced_after_the_runs(walked: Walked) -> None:
    text = (walked.folder / "reviews.csv").read_text(encoding="utf-8")
    (walked.folder / "reviews.csv").write_text(text.replace("soup", "stew"), encoding="utf-8")
    refused(walked, "it is of other data")


def test_a_namesake_with_other_data_warns_at_evaluation_and_is_not_compared(
    walked: Walked, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_reviews(tmp_path / "reviews.csv")
    text = (tmp_path / "reviews.csv").read_text(encoding="utf-8")
    (tmp_path / "reviews.csv").write_text(text.replace("soup", "stew"), encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    workflows.evaluate(tmp_path / "suite.yaml", tracking_uri=walked.uri)
    assert "another suite of the same name" in caplog.text
    assert walked.verdict()[0] == "promote"  # with its own runs, although the other's are newer


# ---- what decides is derived ----------------------------------------------------------------------------------------
