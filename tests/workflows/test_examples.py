"""The examples in the docstrings of the workflows, in order, on a suite whose model was promoted twice."""

from __future__ import annotations

import doctest
from pathlib import Path

from mlbaseline import workflows
from tests.support.doctests import assert_holds
from tests.support.ladders.suites import reviews_suite
from tests.support.ladders.workplace import Workplace

SUITE = reviews_suite(
    """
register_as: reviews-label
evaluation: {max_length: 128, latency_sample: 4}
baselines:
  majority: {kind: trivial, strategy: constant, default: good}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  champion: {kind: production, uri: "models:/reviews-label@champion", optional: true}
matrix:
  primary: [{candidate: zero_shot, over: [majority], margin: -0.9}]
  guardrails: [{candidate: zero_shot, over: [champion], margin: -0.9}]
""",
)


def test_the_examples_of_the_workflows_do_what_they_show(workplace: Workplace, tiny_model: Path) -> None:
    for prompt in ("{text}", "Review: {text}"):
        workplace.suite.write_text(SUITE.replace("MODEL", str(tiny_model)).replace("{text}", prompt), encoding="utf-8")
        done = workflows.run(workplace.suite, tracking_uri=workplace.uri).document
        assert done["promotion"], done["comparison"]["reason"]
    finder = doctest.DocTestFinder(exclude_empty=True)
    for workflow in (workflows.run, workflows.evaluate, workflows.compare, workflows.promote, workflows.rollback):
        (example,) = (found for found in finder.find(workflow, name=workflow.__name__) if found.examples)
        assert_holds(example)
