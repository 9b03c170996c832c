"""MLB206: an A/A test of latency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlbaseline.judge.audit import AuditInput
from mlbaseline.results import CompletedEvaluation
from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, standings, subject


def timed(run: CompletedEvaluation, slowness: float, tokens: int = 20) -> CompletedEvaluation:
    """With queries of about 20 ms and a reference of 5 ms, times a slowness."""
    frame = run.table.frame
    latency = 0.02 * slowness * np.linspace(0.8, 1.2, len(frame))
    columns = {"latency_s": latency, "reference_s": latency / 4, "tokens_in": tokens, "tokens_out": 0}
    return replace(run, table=replace(run.table, frame=frame.assign(**columns)))


def runs(tokens: int = 20, **slowness: float) -> AuditInput:
    made = [run for name in KINDS for run in rung(name)]
    each = [(run, f"{run.table.baseline}_{run.table.seed}") for run in made]
    evaluations = [timed(run, slowness.get(key, 1.0), tokens if key in slowness else 20) for run, key in each]
    found = {name: replace(s, cost=replace(s.cost, n_timed=60)) for name, s in standings().items()}
    return subject(evaluations, standings=found)


def test_seeds_of_one_rung_agree() -> None:
    ruling = finding("MLB206", runs(lora_1=1.1))
    assert (ruling.outcome, ruling.evidence["pairs"]) == ("pass", 6)  # three of each trained rung


def test_a_seed_that_took_longer_is_told_of_with_what_the_reference_says() -> None:
    ruling = finding("MLB206", runs(lora_1=40.0))
    assert ruling.outcome == "fail"
    assert set(ruling.evidence["pairs"]) == {"lora (seed 0) and lora (seed 1)", "lora (seed 1) and lora (seed 2)"}
    assert "0.02 s against 0.8 s at the median, 40.0 times" in ruling.reason
    assert "in units of the reference workload they agree" in ruling.reason


def test_other_work_may_take_longer() -> None:
    assert outcome("MLB206", runs(lora_1=40.0, tokens=800)) == "pass"
    assert outcome("MLB206", subject()) == "not_applicable"
