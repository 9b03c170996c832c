"""Fixtures that tests of several folders share."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from mlbaseline.suite import Suite, parse_suite

TINY_SUITE = """
name: tiny
task:
  kind: choice
  data: {source: reviews.csv}
  columns: {text: review, target: label}
  prompt: "Review: {text}\\nLabel:"
  choices: [bad, good]
  split: {train: 24, dev: 8, test: 16, seed: 1}
  slices:
    topic: {column: text, patterns: {food: soup|bread|cheese}, default: other}
    difficulty: {column: agreement, bins: [0, 0.8, 1], labels: [hard, easy]}
metrics: [accuracy, macro_f1, nll_nats]
seeds: [0, 1]
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  stratified: {kind: trivial, strategy: stratified}
  keyword: {kind: trivial, strategy: keyword, rules: {good: "(?i)love|great"}, default: bad}
  annotator: {kind: human, agreement: agreement}
"""


@pytest.fixture
def tiny_suite(tmp_path: Path) -> Suite:
    """A choice task over 60 generated reviews, all different, with gaps in the agreement; needs no network."""
    rng = random.Random(5)
    things = ["soup", "bread", "cheese", "chair", "lamp", "table", "train", "bus", "hotel", "room"]
    openings = {
        "good": ["I love the", "What a great", "So nice, this"],
        "bad": ["I hate the", "What a poor", "So bad, this"],
    }
    rows = [
        {"label": label, "agreement": rng.choice(["0.6", "0.9", "1", ""]), "review": f"{opening} {thing}"}
        for thing in things
        for label, texts in openings.items()
        for opening in texts
    ]
    rng.shuffle(rows)
    with (tmp_path / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["label", "agreement", "review"])
        writer.writeheader()
        writer.writerows(rows)
    return parse_suite(TINY_SUITE, root=tmp_path)
