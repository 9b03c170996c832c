"""MLB205: a machine that had time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlbaseline.results import CompletedEvaluation
from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, standings, subject
from tests.support.comparisons.judged import MACHINE


def beside(run: CompletedEvaluation, reference_s: float) -> CompletedEvaluation:
    """With a reference workload that took so long on average, now 20 % less and now 20 % more."""
    seconds = reference_s * np.tile([0.8, 1.2], len(run.table.frame) // 2)
    return replace(run, table=replace(run.table, frame=run.table.frame.assign(reference_s=seconds)))


def runs(**slowness: float) -> list[CompletedEvaluation]:
    """All runs, each with a reference of 5 ms times its slowness; the majority class has none."""
    made = [run for name in KINDS for run in rung(name)]
    return [
        run
        if run.table.kind == "trivial"
        else beside(run, 0.005 * slowness.get(f"{run.table.baseline}_{run.table.seed}", 1.0))
        for run in made
    ]


def test_an_idle_machine() -> None:
    ruling = finding("MLB205", subject(runs()))
    assert ruling.outcome == "pass"
    assert "at most 1.2 times its best" in ruling.reason


def test_one_seed_of_a_rung_met_a_busy_machine() -> None:
    """3.36 s against 76 ms: 44 times as long. The other seeds of the rung are trusted."""
    ruling = finding("MLB205", subject(runs(lora_1=44.0)))
    assert (ruling.outcome, ruling.severity) == ("fail", "warning")
    assert ruling.evidence["times"] == {"lora (seed 1)": 55.0}
    assert "latency and cost of these runs are not to be trusted" in ruling.reason
    assert "took 55.0 times as long beside lora (seed 1)" in ruling.reason


def test_a_slower_machine_is_no_busy_one() -> None:
    found = standings()
    found["full"] = replace(found["full"], measured_on={**MACHINE, "hardware.cpu": "another"})
    slow = {f"full_{seed}": 3.0 for seed in (0, 1, 2)}
    assert outcome("MLB205", subject(runs(**slow), standings=found)) == "pass"
    assert outcome("MLB205", subject(runs(**slow))) == "fail"


def test_without_a_reference_nothing_is_known() -> None:
    assert outcome("MLB205", subject()) == "not_applicable"
