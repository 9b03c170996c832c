"""A suite whose results are quick to make up, and what stores them on a tracking server."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.model_files import weights_sha256
from mlbaseline.records import (
    Assessment,
    BreakEven,
    Comparison,
    Cost,
    Decision,
    Estimand,
    Estimate,
    Finding,
    GateCode,
    Mismatch,
    MismatchEffect,
    Outcome,
    Registered,
    Registration,
    Role,
    Severity,
    Signature,
    Standing,
    TaskData,
    Trained,
    Verdict,
    Weights,
)
from mlbaseline.results import ResultTable
from mlbaseline.serving import package_model
from mlbaseline.store.comparison_runs import ComparisonRun
from mlbaseline.store.comparisons import load_assessment
from mlbaseline.store.evaluations import EvaluatedModel, EvaluationFigures, log_evaluation, open_evaluation
from mlbaseline.store.registry.plan import PromotionPlan, plan_promotion
from mlbaseline.store.server.connection import Tracker
from mlbaseline.suite import Suite
from tests.support.comparisons.judged import comparison
from tests.support.ladders.suites import choice_suite

SUITE = choice_suite(
    """
register_as: moods-model
metrics: [accuracy]
seeds: [0, 1]
baselines:
  majority: {kind: trivial, strategy: majority}
  small: {kind: pretrained, model: {source: nowhere}}
  lora: {kind: peft, method: lora, base: small, learning_rate: 1.0e-3}
matrix: {primary: [{candidate: lora, over: [majority], metric: accuracy}]}
""",
    name="moods",
    data="moods.csv",
    columns="{text: text, target: mood}",
    prompt="Text: {text}\\nMood:",
    choices="[bad, good]",
    slices="{length: {column: text, quantiles: 2}}",
)

COST = Cost(12.5, 0.001, 0.01, 3e-7, 0.009, 0.02, 500_000_000)
Compare = Callable[..., ComparisonRun]
"""The fixture `compare`: stores a ladder and a comparison of it."""
NO_COST = Cost(None, None, 0.0, None, None, None, None)


def make_comparison(candidate: str = "lora", baseline: str = "majority", **values: object) -> Comparison:
    row = comparison(
        candidate=candidate,
        baseline=baseline,
        estimand=Estimand.RECIPE,
        n=60,
        n_clusters=60,
        n_seeds_candidate=2,
        candidate_mean=0.8,
        baseline_mean=0.687,
        delta=0.113,
        low=0.071,
        high=0.155,
        simultaneous_low=0.06,
        simultaneous_high=0.166,
        p_value=0.001,
        p_adjusted=0.002,
        gained=12,
        lost=5,
        method="seeds_and_examples",
    )
    return replace(row, **values)


def make_assessment(
    suite: Suite, run_ids: Mapping[str, Mapping[str, str]], decision: str = "promote", *, candidate: str = "lora"
) -> Assessment:
    """A candidate, with seed 1, against `majority`. run_ids: baseline ─▶ seed ─▶ evaluation run."""
    comparisons = (
        make_comparison(
            candidate, role=Role.EXPLORATORY, estimand=Estimand.CHECKPOINT, delta=0.2, margin=None, outcome=None
        ),
        make_comparison(candidate, registered=Registered.BEFORE),
        make_comparison(
            candidate, slice="length", slice_value="1", low=math.nan, effect_size=None, gained=None, lost=None
        ),
    )
    standings = tuple(
        Standing(
            name,
            suite.baselines[name].kind,
            {"accuracy": Estimate(0.8, 0.7, math.inf, 0.95, 60, 60, 2, "bootstrap"), "ece": _NAN},
            {"accuracy": 0.01},
            {"length": {"1": {"accuracy": 0.75}}},
            COST,
            1 / 60,
            ids,
        )
        for name, ids in run_ids.items()
    )
    findings = (gate_finding(GateCode.MIN_SEEDS, Outcome.PASS, "2 of 2 seeds", {"seeds": 2}),)
    verdict = Verdict(Decision(decision), f"{candidate} beats majority.", findings, candidate, 1)
    return Assessment(
        suite.name,
        0.95,
        {"accuracy": True},
        standings,
        comparisons,
        (Mismatch("seed", 1, None, MismatchEffect.WARN),),
        verdict,
        Registration(Registered.BEFORE, "e" * 32, 1_700_000_000_000, suite.matrix_digest, 3),
        (
            Finding(
                "MLB302",
                Severity.INFO,
                Outcome.FAIL,
                "margin 0",
                {"contrasts": [["a", "b"]]},
                "Gain",
                "AUDIT.md#mlb302",
            ),
        ),
        (BreakEven("lora", "few_shot", 0.001, 1e-7, 3e-7, 5000),),
        {"n": 60, "digests": {"task": "d" * 64}},
    )


_NAN = Estimate(math.nan, math.nan, math.nan, 0.95, 60, 60, 2, "none")


def make_table(data: TaskData, baseline: str, kind: str, seed: int | None, *, rate: float = 0.8) -> ResultTable:
    """Answers that are right at about `rate`, one of them an error."""
    draws = np.random.default_rng([0 if seed is None else seed, int(rate * 100)])
    n = len(data.examples)
    targets = np.array([example.target for example in data.examples])
    right = draws.random(n) < rate
    other = np.where(targets == "good", "bad", "good")
    logliks = np.log(draws.dirichlet((1, 1), n))
    frame = pd.DataFrame(
        {
            "example_id": [example.id for example in data.examples],
            "cluster": pd.array([None] * n, dtype="string"),
            "slice.length": "1",
            "target": targets,
            "prediction": pd.array([None, *np.where(right, targets, other)[1:]], dtype="string"),
            "loglik_nats.bad": [np.nan, *logliks[1:, 0]],
            "loglik_nats.good": [np.nan, *logliks[1:, 1]],
            "tokens_in": 10,
            "tokens_out": 1,
            "latency_s": [0.01, *[np.nan] * (n - 1)],
            "compute_s": 0.005,
            "truncated": False,
            "error": pd.array(["it broke", *[None] * (n - 1)], dtype="string"),
        }
    )
    fields = {"data.digest": data.digest, "model.kind": kind, "seed": seed, "rate": rate}
    fields |= {"engine.precision": "fp32", "model.sha256": "b" * 64}
    return ResultTable(baseline, kind, seed, Signature(fields), frame)


@dataclass(frozen=True)
class Evaluate:
    """An evaluation as workflows do it, with answers that are made up."""

    tracker: Tracker
    suite: Suite
    data: TaskData

    def __call__(
        self,
        baseline: str,
        seed: int | None,
        *,
        trained: Trained | None = None,
        weights: Weights | None = None,
        **figures: Any,
    ) -> ResultTable:
        """figures: fields of EvaluationFigures."""
        table = make_table(self.data, baseline, self.suite.baselines[baseline].kind, seed)
        params = {"baseline.learning_rate": 0.001, "baseline.shots": None, "hardware.bf16": False}
        about = {"baseline": baseline, "seed": seed, "signature": table.signature, "data": self.data}
        with open_evaluation(self.tracker, self.suite, params={**params, "baseline.kind": table.kind}, **about) as run:
            metrics = {"accuracy": 0.75, "ece": None}
            slices = {"length": {"1": {"accuracy": 0.75}}}
            found = EvaluationFigures(**{"metrics": metrics, "slices": slices, "cost": COST, **figures})
            with TemporaryDirectory() as staging:
                logged = package_model(Path(staging), self.suite, table, weights) if weights else None
                model = EvaluatedModel(weights, trained, logged)
                log_evaluation(run, table, suite=self.suite, data=self.data, figures=found, model=model)
        return table


def made_up_training(folder: Path) -> Trained:
    folder.mkdir(exist_ok=True)
    (folder / "adapter.safetensors").write_bytes(b"weights")
    return Trained(folder, weights_sha256(folder), 12.5, 4096, (2.0, 1.0), {"accuracy": 0.7}, 2)


def planned(tracker: Tracker, suite: Suite, stored: ComparisonRun, *, allow_rolled_back: bool = False) -> PromotionPlan:
    """Plan the promotion of a comparison's winner, from what the comparison stored."""
    assessment = load_assessment(tracker, stored.run_id)
    return plan_promotion(tracker, suite, stored, assessment, allow_rolled_back=allow_rolled_back)


def found(run: ComparisonRun | None) -> ComparisonRun:
    assert run is not None
    return run


def aliases(tracker: Tracker, model: str) -> dict[str, str]:
    return {alias: str(n) for alias, n in tracker.client.get_registered_model(model).aliases.items()}
