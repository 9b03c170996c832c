"""Gates fail closed, the winner is chosen on dev, and an open question says what would settle it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mlbaseline.judge.checkpoint import Checkpoint, choose_checkpoint
from mlbaseline.judge.gates import decide
from mlbaseline.records import Comparison, Finding, Standing, Verdict
from mlbaseline.suite import Gates, Matrix, Suite
from mlbaseline.suite_file import load_suite
from tests.judge.builders import COST, comparison, evaluation, standing, table, task_data

SUITE = load_suite("tweets")
DATA = task_data(4)
RIGHT = np.ones(4, dtype=bool)


def checkpoint(name: str, dev: float) -> Checkpoint:
    return choose_checkpoint(
        [evaluation(table(DATA, RIGHT, baseline=name, seed=2), dev__accuracy=dev)], "accuracy", higher_is_better=True
    )


CHECKPOINTS = {"lora": checkpoint("lora", 0.6), "full": checkpoint("full", 0.7)}
BOTH_PASS = tuple(comparison(candidate=c, baseline=b) for c in ("lora", "full") for b in ("majority", "zero_shot"))


def judged(
    rows: Sequence[Comparison] = BOTH_PASS,
    *,
    suite: Suite = SUITE,
    lora: Standing | None = None,
    more: int | None = 500,
    conditions: Sequence[Finding] = (),
) -> Verdict:
    standings = {"lora": lora or standing("lora"), "full": standing("full", run_ids={"0": "r"})}
    return decide(suite, rows, standings, CHECKPOINTS, lambda row: more, conditions=conditions)


def only(candidate: str, **changes: object) -> Suite:
    """The packaged suite with one candidate in its matrix."""
    primary = tuple(contrast for contrast in SUITE.matrix.primary if contrast.candidate == candidate)
    return SUITE.model_copy(update={"matrix": Matrix(primary=primary), **changes})


def test_winner_is_the_best_on_dev_among_those_that_pass_everything() -> None:
    every_seed = replace(standing("full"), run_ids={"0": "a", "1": "b", "2": "c"})
    standings = {"lora": standing("lora"), "full": every_seed}
    verdict = decide(SUITE, BOTH_PASS, standings, CHECKPOINTS, lambda row: None, conditions=())
    assert (verdict.decision, verdict.winner, verdict.winner_seed) == ("promote", "full", 2)
    assert "lora passed too" in verdict.reason


def test_too_few_seeds_disqualify() -> None:
    verdict = judged()  # full has one seed of three
    assert (verdict.decision, verdict.winner) == ("promote", "lora")
    assert any(
        f.code == "min_seeds" and f.outcome == "fail" and "full: 1 seeds of at least 3" in f.reason
        for f in verdict.findings
    )


def test_no_seed_rule_for_a_rung_without_randomness() -> None:
    verdict = judged(suite=only("lora"), lora=standing("lora", run_ids={"none": "r"}))
    assert verdict.decision == "promote"
    assert [f.outcome for f in verdict.findings if f.code == "min_seeds"] == ["not_applicable"]


@pytest.mark.parametrize(
    ("field", "code"),
    [("latency_p95_s", "latency_p95"), ("usd_per_query", "cost_per_query"), ("peak_memory_bytes", "peak_memory")],
)
@pytest.mark.parametrize("measured", [None, float("nan"), 1e18])
def test_budgets_fail_closed(field: str, code: str, measured: float | None) -> None:
    gates = Gates(latency_p95_s=0.5, cost_per_query_usd=1e-3, peak_memory_bytes=2 * 10**9)
    lora = standing("lora", cost=replace(COST, **{field: measured}))
    verdict = judged(suite=only("lora", gates=gates), lora=lora)
    assert verdict.decision == "hold"
    assert [f.code for f in verdict.findings if f.outcome == "fail"] == [code]


def test_error_rate_over_budget_holds() -> None:
    assert judged(suite=only("lora"), lora=standing("lora", error_rate=0.02)).decision == "hold"


def test_one_failed_contrast_holds() -> None:
    rows = [comparison(), comparison(baseline="zero_shot", outcome="fail")]
    assert judged(rows, suite=only("lora")).decision == "hold"


def test_a_failed_guardrail_holds() -> None:
    rows = [comparison(), comparison(role="guardrail", slice="topic", slice_value="cars", margin=-0.03, outcome="fail")]
    verdict = judged(rows, suite=only("lora"))
    assert verdict.decision == "hold"
    assert "topic = cars" in verdict.reason


def test_open_contrast_is_inconclusive_and_says_what_would_settle_it() -> None:
    rows = [comparison(), comparison(baseline="zero_shot", outcome="inconclusive")]
    verdict = judged(rows, suite=only("lora"), more=1234)
    assert (verdict.decision, verdict.more_examples) == ("inconclusive", 1234)
    assert "1,234 more test examples" in verdict.reason
    assert judged(rows, suite=only("lora"), more=None).more_examples is None


def test_missing_contrasts_do_not_pass() -> None:
    assert judged([], suite=only("lora")).decision == "hold"
    exploratory = comparison(role="exploratory", margin=None, outcome=None)
    assert judged([exploratory], suite=only("lora")).decision == "hold"


def test_a_failed_condition_holds_every_candidate_and_one_that_passes_holds_none() -> None:
    held = judged(suite=only("lora"), conditions=[Finding("confirmatory", "error", "fail", "registered after")])
    assert (held.decision, held.reason) == ("hold", "no candidate passed: registered after")
    still_open = [comparison(outcome="inconclusive")]
    failed = Finding("confirmatory", "error", "fail", "")
    assert judged(still_open, suite=only("lora"), conditions=[failed]).decision == "hold"
    passed = judged(suite=only("lora"), conditions=[Finding("confirmatory", "error", "pass", "")])
    assert passed.decision == "promote"
    assert passed.findings[-1].code == "confirmatory"


def test_recipe_rows_do_not_decide() -> None:
    rows = [comparison(), comparison(estimand="recipe", outcome="fail")]
    assert judged(rows, suite=only("lora")).decision == "promote"


def test_nothing_registered_nothing_decided() -> None:
    assert judged(suite=SUITE.model_copy(update={"matrix": Matrix()})).decision == "hold"


def test_checkpoint_is_the_best_seed_on_dev_and_never_looks_at_test() -> None:
    wrong = np.zeros(4, dtype=bool)
    seeds = [
        evaluation(table(DATA, RIGHT, seed=0), dev__accuracy=0.5, accuracy=1.0),
        evaluation(table(DATA, wrong, seed=1), dev__accuracy=0.9, accuracy=0.0),
        evaluation(table(DATA, wrong, seed=2), dev__accuracy=0.9, accuracy=0.0),
    ]
    assert choose_checkpoint(seeds, "accuracy", higher_is_better=True).evaluation.table.seed == 1
    assert choose_checkpoint(seeds, "accuracy", higher_is_better=False).evaluation.table.seed == 0
    never = choose_checkpoint([evaluation(table(DATA, wrong))], "accuracy", higher_is_better=True)
    assert never.dev_quality == -np.inf
