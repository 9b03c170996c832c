"""Ladders whose examples differ by slice, and candidates that are worse on one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.metrics import add_scores
from mlbaseline.records import Answer, Example, Signature, TaskData
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import LABELS, SIGNATURE, evaluation
from tests.support.ladders.suites import ONE_KIND, yes_no_suite

SUITE = yes_no_suite(
    """
metrics: [accuracy, nll_nats]
seeds: [0]
baselines:
  base: {kind: pretrained, model: {source: m}}
  other: {kind: pretrained, model: {source: m}}
  lora: {kind: peft, method: lora, base: base, learning_rate: 1.0e-3}
matrix:
  primary: [{candidate: lora, over: [base], metric: METRIC}]
  guardrails: [{candidate: lora, over: [base], slices: [topic], margin: -0.1}]
"""
    + ONE_KIND,
    n=600,
    slices="{topic: {column: text}, form: {column: text}}",
)


def suite(metric: str = "accuracy") -> Suite:
    return parse_suite(SUITE.replace("METRIC", metric))


def data(n: int, *, rare: int = 8, split: str = "test") -> TaskData:
    """Three topics, the third `rare` examples small, and two forms."""
    topics = ["rare"] * rare + ["cars", "food"] * n
    examples = tuple(
        Example(
            f"{split}{i:05d}",
            {"text": str(i)},
            LABELS[i % 2],
            LABELS,
            slices={"topic": topics[i], "form": "long" if i % 4 < 2 else "short"},
        )
        for i in range(n)
    )
    return TaskData(split, examples, LABELS, split[0] * 64)


def table(of: TaskData, right: np.ndarray, name: str, *, tokens: int = 10) -> ResultTable:
    answers = []
    for position, (example, correct) in enumerate(zip(of.examples, right, strict=True)):
        said = example.target if correct else LABELS[1 - LABELS.index(example.target)]
        sure = 0.2 + (position % 7) / 10
        logliks = tuple(-sure if label == said else -2.0 for label in LABELS)
        answers.append(Answer(example.id, said, logliks, tokens_in=tokens + position % 9, compute_s=0.01))
    fields = {**SIGNATURE, "data.split": of.split, "data.digest": of.digest}
    made = tabulate(of, answers, baseline=name, kind="peft", seed=None, signature=Signature(fields))
    return add_scores(made, LABELS, ("accuracy", "nll_nats"))


def rights(of: TaskData, rng: np.random.Generator, *, hurt: float = 0.0) -> dict[str, np.ndarray]:
    """Three rungs that are equally good, save that lora is worse by `hurt` on food that is short."""
    n = len(of.examples)
    shared = rng.random(n)
    bad = np.array([e.slices == {"topic": "food", "form": "short"} for e in of.examples])
    own = {name: np.where(rng.random(n) < 0.6, shared, rng.random(n)) for name in ("base", "other", "lora")}
    rates = {"base": 0.7, "other": 0.7, "lora": 0.7 - hurt * bad}
    return {name: own[name] < rates[name] for name in own}


def ladder(n: int = 600, *, hurt: float = 0.0, seed: int = 0, dev: int = 0, metric: str = "accuracy") -> Ladder:
    rng = np.random.default_rng(seed)
    test = data(n)
    runs = [evaluation(table(test, right, name)) for name, right in rights(test, rng, hurt=hurt).items()]
    made = build_ladder(suite(metric), runs)
    if not dev:
        return made
    other = data(dev, split="dev")
    answered = {name: table(other, right, name) for name, right in rights(other, rng, hurt=hurt).items()}
    return replace(made, dev=answered)
