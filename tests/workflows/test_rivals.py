"""Two drivers that evaluate the same rung at the same time."""

from __future__ import annotations

from mlbaseline import workflows
from tests.support.cheap_ladder import CheapLadder

RULE = "rule: {kind: trivial, strategy: callable, function: 'rules:label'}"
OTHER_DRIVER = """
from pathlib import Path
from mlbaseline import workflows

begun = Path("begun")

def label(fields):
    if not begun.exists():  # the first call of the first driver: now a second one goes all the way
        begun.touch()
        done = workflows.evaluate("suite.yaml", baselines=["rule"], tracking_uri="{uri}").document
        Path("other").write_text(done["evaluations"][0]["run_id"])
    return "good"
"""


def test_the_run_that_completes_first_counts_for_both(cheap_ladder: CheapLadder) -> None:
    rules = OTHER_DRIVER.replace("{uri}", cheap_ladder.uri)
    (cheap_ladder.folder / "rules.py").write_text(rules, encoding="utf-8")
    cheap_ladder.write(RULE, candidate="rule")
    (ours,) = workflows.evaluate(cheap_ladder.suite, baselines=["rule"], tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    other = (cheap_ladder.folder / "other").read_text(encoding="utf-8")
    assert (ours["run_id"], ours["reused"]) == (other, True)
    (again,) = workflows.evaluate(cheap_ladder.suite, baselines=["rule"], tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    assert again["run_id"] == other, "nothing takes the superseded run, though it is newer"
