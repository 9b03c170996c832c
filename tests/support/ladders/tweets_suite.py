"""Texts of suites for tests of reading: the packaged one, and one of each kind of open task."""

from __future__ import annotations

from importlib import resources

import pytest

from mlbaseline.errors import SuiteError
from mlbaseline.suite.reading import parse_suite

TWEETS = (resources.files("mlbaseline.suites") / "tweets.yaml").read_text(encoding="utf-8")
OPEN = """
name: open
task:
  kind: {kind}
  data: {{source: data.csv}}
  columns: {columns}
  split: {{test: 10}}{options}
baselines:
  rule: {{kind: trivial, strategy: stratified}}
  zero_shot: {{kind: pretrained, model: {{source: model}}}}
  full: {{kind: full, base: zero_shot, learning_rate: 1.0e-3}}
matrix: {{primary: [{{candidate: full, over: [rule]}}]}}
"""
GENERATE = OPEN.format(kind="generate", columns="{text: text, target: answer}", options='\n  prompt: "Q: {text}"')
PERPLEXITY = OPEN.format(kind="perplexity", columns="{text: text}", options="")


def problems_of(*replacements: tuple[str, str]) -> list[str]:
    """Return what is wrong with the packaged suite after replacements, each of a text by another."""
    text = TWEETS
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(SuiteError) as caught:
        parse_suite(text)
    return list(caught.value.problems)
