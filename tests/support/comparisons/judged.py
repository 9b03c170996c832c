"""Small, honest inputs for the judge: tables, standings and comparison rows with one thing changed at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlbaseline.records import (
    Answer,
    Comparison,
    Cost,
    Estimand,
    Example,
    Outcome,
    Registered,
    Registration,
    Role,
    Scalar,
    Signature,
    Standing,
    TaskData,
)
from mlbaseline.results import CompletedEvaluation, ResultTable, tabulate

LABELS = ("no", "yes")

SIGNATURE: dict[str, Scalar] = {
    "data.digest": "d" * 64,
    "data.split": "test",
    "choices.digest": "c" * 64,
    "metric.version": 1,
    "prompt.template": "{text}",
    "prompt.shots": 0,
    "engine.precision": "fp32",
    "model.sha256": "m" * 64,
}


def task_data(n: int, *, seed: int = 0) -> TaskData:
    targets = np.random.default_rng(seed).choice(LABELS, size=n)
    examples = tuple(
        Example(f"e{index:05d}", {"text": str(index)}, str(target), LABELS, slices={"half": "ab"[index % 2]})
        for index, target in enumerate(targets)
    )
    return TaskData("test", examples, LABELS, "d" * 64)


def table(
    data: TaskData, correct: np.ndarray, *, baseline: str = "a", seed: int | None = None, **signature: Scalar
) -> ResultTable:
    """Answers that are right where `correct` (n,) says so, with log-likelihoods that fit."""
    answers = []
    for example, right in zip(data.examples, correct, strict=True):
        said = example.target if right else LABELS[1 - LABELS.index(example.target)]
        logliks = tuple(-0.2 if label == said else -1.8 for label in LABELS)
        answers.append(Answer(example.id, said, logliks, compute_s=0.01, latency_s=0.02))
    fields = {**SIGNATURE, **{key.replace("__", "."): value for key, value in signature.items()}}
    return tabulate(data, answers, baseline=baseline, kind="peft", seed=seed, signature=Signature(fields))


def evaluation(result: ResultTable, **measured: float) -> CompletedEvaluation:
    name = f"run-{result.baseline}-{result.seed}"
    return CompletedEvaluation(name, result, {key.replace("__", "/"): value for key, value in measured.items()})


COST = Cost(
    train_s=10.0,
    train_usd=0.001,
    compute_s_per_query=0.01,
    usd_per_query=1e-6,
    latency_p50_s=0.1,
    latency_p95_s=0.2,
    peak_memory_bytes=10**9,
)


MACHINE = {
    "engine.batch_tokens": "4096",
    "hardware.cores": "2",
    "hardware.cpu": "a processor",
    "hardware.device": "cpu",
}


REGISTRATION = Registration(Registered.BEFORE, "r0", 1_700_000_000_000, "m" * 64, 1)


def standing(name: str, **changes: Any) -> Standing:
    run_ids = {"0": "r0", "1": "r1", "2": "r2"}
    return replace(Standing(name, "peft", {}, {}, {}, COST, 0.0, run_ids, MACHINE), **changes)


def comparison(**changes: Any) -> Comparison:
    row = Comparison(
        candidate="lora",
        baseline="majority",
        metric="accuracy",
        slice=None,
        slice_value=None,
        role=Role.PRIMARY,
        estimand=Estimand.CHECKPOINT,
        n=300,
        n_clusters=300,
        n_seeds_candidate=1,
        n_seeds_baseline=1,
        candidate_mean=0.6,
        baseline_mean=0.4,
        delta=0.2,
        low=0.13,
        high=0.27,
        level=0.95,
        simultaneous_low=0.11,
        simultaneous_high=0.29,
        effect_size=0.3,
        p_value=1e-6,
        p_adjusted=4e-6,
        gained=90,
        lost=30,
        mde=0.1,
        margin=0.0,
        method="score",
        outcome=Outcome.PASS,
    )
    chosen = {"role": Role, "estimand": Estimand, "outcome": Outcome, "registered": Registered}
    typed = {name: chosen[name](value) if name in chosen and value else value for name, value in changes.items()}
    return replace(row, **typed)
