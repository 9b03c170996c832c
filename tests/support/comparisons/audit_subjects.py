"""A comparison without fault, to be spoilt in one place at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlbaseline.judge.audit import CHECKS, AuditInput
from mlbaseline.judge.ladder import build_ladder
from mlbaseline.metrics import add_scores
from mlbaseline.records import Finding, Scalar, Standing
from mlbaseline.results import CompletedEvaluation
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import LABELS, REGISTRATION, comparison, evaluation, standing, table, task_data
from tests.support.ladders.suites import yes_no_suite

SUITE = yes_no_suite(
    """
metrics: [accuracy, macro_f1]
seeds: [0, 1, 2]
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: m}}
  lora: {kind: peft, method: lora, base: zero_shot, epochs: 2, learning_rate: 1.0e-3}
  full: {kind: full, base: zero_shot, epochs: 2, learning_rate: 1.0e-4}
matrix:
  primary: [{candidate: lora, over: [majority, full], margin: 0.05}]
""",
    n=60,
    slices="{half: {column: text}}",
)
TRAINING: dict[str, Scalar] = {
    "training.train_digest": "train",
    "training.dev_digest": "dev",
    "training.base_sha256": "m" * 64,
}
KINDS = {"majority": "trivial", "zero_shot": "pretrained", "lora": "peft", "full": "full"}
SEEDS: dict[str, tuple[int | None, ...]] = {"lora": (0, 1, 2), "full": (0, 1, 2)}


def suite(old: str = "", new: str = "") -> Suite:
    assert old in SUITE
    return parse_suite(SUITE.replace(old, new) if old else SUITE)


def rung(name: str, **signature: Scalar) -> list[CompletedEvaluation]:
    """Its evaluations; the majority class reads no prompt."""
    data = task_data(60)
    made = []
    for seed in SEEDS.get(name, (None,)):
        found = table(data, np.arange(60) % 3 > 0, baseline=name, seed=seed)
        fields = {**found.signature.fields, **(TRAINING if name in SEEDS else {})}
        if name == "majority":
            fields = {key: value for key, value in fields.items() if not key.startswith(("prompt.", "engine."))}
        found = replace(found, kind=KINDS[name], signature=replace(found.signature, fields={**fields, **signature}))
        made.append(evaluation(add_scores(found, LABELS, ("accuracy",))))
    return made


def standings() -> dict[str, Standing]:
    return {
        name: standing(name, kind=kind, run_ids={str(s): "r" for s in SEEDS[name]} if name in SEEDS else {"none": "r"})
        for name, kind in KINDS.items()
    }


def subject(
    evaluations: list[CompletedEvaluation] | None = None, *, of: Suite | None = None, **changes: Any
) -> AuditInput:
    found = evaluations or [one for name in KINDS for one in rung(name)]
    rows = [comparison(baseline=name, margin=0.05) for name in ("majority", "full")]
    sliced = comparison(role="exploratory", slice="half", slice_value="a", margin=None, outcome=None)
    ladder = build_ladder(of or suite(), found)
    return replace(AuditInput(ladder, standings(), [*rows, sliced], REGISTRATION, {}), **changes)


def finding(code: str, of: AuditInput) -> Finding:
    return next(check for check in CHECKS if check.code == code)(of)


def outcome(code: str, of: AuditInput) -> str:
    return finding(code, of).outcome
