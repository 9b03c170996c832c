"""Whatever stands in a suite file: a suite, or one error that names what is wrong. Never a traceback."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.errors import SuiteError
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.conftest import TINY_SUITE
from tests.support.comparisons.hostile import mutated, searched

WHOLE = """
name: reviews
register_as: reviews-label
task:
  kind: choice
  data: {source: reviews.csv, format: csv, sha256: "abababababababababababababababababababababababababababababababab"}
  columns: {text: review, target: label, id: null, cluster: null}
  prompt: "{text}"
  choices: [bad, good]
  split: {train: 0.5, dev: 32, test: 120, seed: 1}
  slices:
    topic: {column: review, patterns: {food: soup|bread|cheese}, default: other}
    length: {column: review, quantiles: 3}
metrics: [accuracy, macro_f1, nll_nats, ece]
seeds: [0, 1]
evaluation: {batch_tokens: 1024, max_length: 128, latency_sample: 4}
cost: {usd_per_hour: {cpu: 0.10}, queries: 1000}
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: somewhere}}
  few_shot: {kind: pretrained, model: {source: somewhere}, shots: {k: 2, sample: seed}}
  lora: {kind: peft, method: lora, base: zero_shot, epochs: 14, learning_rate: 1.0e-2, batch_size: 8}
  full: {kind: full, base: zero_shot, epochs: 14, learning_rate: 2.0e-3, batch_size: 8}
  champion: {kind: production, uri: "models:/reviews-label@champion", optional: true}
  live: {kind: production, endpoint: {url: "http://127.0.0.1:9", protocol: chat, timeout_s: 5, retries: 0}}
  paper: {kind: external, metric: accuracy, value: 0.8, n: 500, source: a paper}
  annotator: {kind: human, agreement: agreement}
matrix:
  level: 0.95
  correction: holm
  primary: [{candidate: lora, over: [majority, zero_shot], metric: accuracy, margin: 0.0}]
  guardrails: [{candidate: lora, over: [majority, champion], slices: [topic], margin: -0.3}]
gates: {min_seeds: 2, max_error_rate: 0.0, latency_p95_s: 5.0, cost_per_query_usd: 1.0, waive: {MLB102: "a reason"}}
"""
GENERATE = """
name: sums
task:
  kind: generate
  data: {test: sums.jsonl}
  columns: {question: q, target: answer}
  prompt: "Q: {question}"
  max_new_tokens: 8
  stop: ["\\n"]
  extract: "(-?[0-9]+)"
metrics: [exact_match]
baselines:
  constant: {kind: trivial, strategy: constant, default: "4"}
"""
DOCUMENTS = [yaml.safe_load(text) for text in (TINY_SUITE, WHOLE, GENERATE)]


def check(text: str) -> None:
    try:
        suite = parse_suite(text, where="suite.yaml")
    except SuiteError as error:
        assert str(error).startswith("suite.yaml: ")
        assert error.problems
        assert len(str(error)) < 100_000
    else:
        assert isinstance(suite, Suite)
        assert len(suite.digest) == len(suite.matrix_digest) == 64


def test_the_documents_are_valid_before_they_are_changed() -> None:
    for document in DOCUMENTS:
        assert isinstance(parse_suite(yaml.safe_dump(document)), Suite)


@searched(150)
@given(mutated(*DOCUMENTS))
def test_a_suite_with_changed_parts(document: Any) -> None:
    check(yaml.safe_dump(document, allow_unicode=True))


@searched(100)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    check(text)


@searched(100)
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.text("{}[]:&*!|>'\"-,#% \n\tx0\u2028\x85", max_size=6))
def test_a_suite_with_changed_characters(start: int, length: int, piece: str) -> None:
    check(WHOLE[:start] + piece + WHOLE[start + length :])
