"""Gates fail closed, the winner is chosen on dev, and an open question says what would settle it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.judge.contrasts.chosen_checkpoint import ChosenCheckpoint, choose_checkpoint
from mlbaseline.judge.contrasts.power import MoreExamples
from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.judge.decision.gates import decide
from mlbaseline.records import Bounds, Comparison, Finding, GateCode, Outcome, Severity, Standing, Verdict
from mlbaseline.suite import Contrast, Gates, Matrix, Suite
from mlbaseline.suite.reading import load_suite
from tests.support.comparisons.judged import COST, comparison, evaluation, standing, table, task_data

SUITE = load_suite("tweets")
DATA = task_data(4)
RIGHT = np.ones(4, dtype=bool)


def checkpoint(name: str, dev: float) -> ChosenCheckpoint:
    return choose_checkpoint(
        [evaluation(table(DATA, RIGHT, baseline=name, seed=2), dev__accuracy=dev)], "accuracy", higher_is_better=True
    )


CHECKPOINTS = {"lora": checkpoint("lora", 0.6), "full": checkpoint("full", 0.7)}
BOTH_PASS = tuple(comparison(candidate=c, baseline=b) for c in ("lora", "full") for b in ("majority", "zero_shot"))

LORA_PASSES = BOTH_PASS[:2]


def judged(
    rows: Sequence[Comparison] = BOTH_PASS,
    *,
    suite: Suite = SUITE,
    lora: Standing | None = None,
    more: int | None = 500,
    conditions: Sequence[Finding] = (),
) -> Verdict:
    standings = {"lora": lora or standing("lora"), "full": standing("full", run_ids={"0": "r"})}
    settling = None if more is None else MoreExamples(more, 300, 2_100, passes=True)
    return decide(suite, rows, standings, CHECKPOINTS, lambda row: settling, conditions=conditions)


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
        f.code == "min_seeds" and f.outcome == "fail" and "full: 1 seed of at least 3" in f.reason
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
    assert "1,234 more test examples (likely 300 to 2,100) would settle it, as passed" in verdict.reason
    assert judged(rows, suite=only("lora"), more=None).more_examples is None


def test_missing_contrasts_do_not_pass() -> None:
    assert judged([], suite=only("lora")).decision == "hold"
    exploratory = comparison(role="exploratory", margin=None, outcome=None)
    assert judged([exploratory], suite=only("lora")).decision == "hold"


def test_a_failed_condition_holds_every_candidate_and_one_that_passes_holds_none() -> None:
    held = judged(
        suite=only("lora"), conditions=[gate_finding(GateCode.CONFIRMATORY, Outcome.FAIL, "registered after")]
    )
    assert (held.decision, held.reason) == ("hold", "no candidate passed: registered after")
    still_open = [comparison(outcome="inconclusive")]
    failed = gate_finding(GateCode.CONFIRMATORY, Outcome.FAIL, "")
    assert judged(still_open, suite=only("lora"), conditions=[failed]).decision == "hold"
    passed = judged(suite=only("lora"), conditions=[gate_finding(GateCode.CONFIRMATORY, Outcome.PASS, "")])
    assert passed.decision == "promote"
    assert passed.findings[-1].code == "confirmatory"


def test_a_registered_contrast_without_a_result_does_not_pass() -> None:
    verdict = judged([comparison()], suite=only("lora"))
    assert verdict.decision == "hold"
    assert "lora over zero_shot: accuracy was registered, not compared" in verdict.reason
    other_margin = [comparison(), comparison(baseline="zero_shot", margin=-0.1)]
    assert judged(other_margin, suite=only("lora")).decision == "hold"
    guarded = Contrast(candidate="lora", over=("zero_shot",), slices=("topic",), margin=-0.03)
    suite = SUITE.model_copy(update={"matrix": Matrix(primary=only("lora").matrix.primary, guardrails=(guarded,))})
    overall = [*LORA_PASSES, comparison(baseline="zero_shot", role="guardrail", margin=-0.03)]
    assert "by topic" in judged(overall, suite=suite).reason
    sliced = comparison(baseline="zero_shot", role="guardrail", margin=-0.03, slice="topic", slice_value="cars")
    assert judged([*overall, sliced], suite=suite).decision == "promote"


def test_a_candidate_that_was_never_evaluated_does_not_pass() -> None:
    assert decide(only("lora"), LORA_PASSES, {}, CHECKPOINTS, lambda row: None, conditions=()).decision == "hold"


def test_too_few_examples_disqualify_and_say_how_many_are_missing() -> None:
    suite = only("lora", gates=Gates(min_examples=1_000, min_seeds=5))
    verdict = judged(list(LORA_PASSES), suite=suite)
    assert (verdict.decision, verdict.more_examples, verdict.more_seeds) == ("hold", 700, 2)
    assert "lora: 300 examples of at least 1,000, 700 more needed" in verdict.reason
    # Nothing is said to be enough where something else has failed.
    failed = [LORA_PASSES[0], comparison(baseline="zero_shot", outcome="fail")]
    assert (judged(failed, suite=suite).more_examples, judged(failed, suite=suite).more_seeds) == (None, None)
    assert judged(suite=only("lora", gates=Gates(min_examples=300))).decision == "promote"


@pytest.mark.parametrize(
    ("bounds", "decision"),
    [
        (Bounds(0.1, 0.4), "promote"),
        (Bounds(0.1, 0.6), "inconclusive"),
        (Bounds(0.1, None), "inconclusive"),
        (Bounds(0.1, float("nan")), "inconclusive"),
        (Bounds(0.6, 0.9), "hold"),
        (None, "inconclusive"),
    ],
)
def test_a_strict_budget_is_kept_by_the_whole_interval(bounds: Bounds | None, decision: str) -> None:
    known = {} if bounds is None else {"latency_p99_s": bounds}
    cost = replace(COST, latency_p99_s=0.3, bounds=known, n_timed=24)
    suite = only("lora", gates=Gates(latency_p99_s=0.5, strict=True))
    verdict = judged(suite=suite, lora=standing("lora", cost=cost))
    assert verdict.decision == decision
    if decision == "inconclusive":
        assert "24 queries were timed, at least 368 bound it" in verdict.reason
        assert verdict.reason.endswith("more measurements would settle it")
    loose = only("lora", gates=Gates(latency_p99_s=0.5))
    assert judged(suite=loose, lora=standing("lora", cost=cost)).decision == "promote"


EVERY_GATE = Gates(
    min_seeds=3, min_examples=100, max_error_rate=0.01, latency_p95_s=0.5, latency_p99_s=0.6, cost_per_query_usd=1e-3,
    peak_memory_bytes=2 * 10**9,
)  # fmt: skip
SOUND_COST = replace(
    COST,
    latency_p99_s=0.3,
    bounds={name: Bounds(0.0, 1e-6) for name in ("usd_per_query", "latency_p95_s", "latency_p99_s")},
)
NAN, INF = float("nan"), float("inf")


def test_without_a_flaw_every_gate_passes() -> None:
    for strict in (False, True):
        suite = only("lora", gates=EVERY_GATE.model_copy(update={"strict": strict}))
        assert judged(LORA_PASSES, suite=suite, lora=standing("lora", cost=SOUND_COST)).decision == "promote"


@given(
    st.sampled_from(
        ["delta", "p_adjusted", "simultaneous_low", "simultaneous_high", "margin", "outcome", "latency_p95_s",
         "latency_p99_s", "usd_per_query", "peak_memory_bytes", "error_rate", "run_ids", "n", "row", "standing"]
    ),
    st.sampled_from([None, NAN, -NAN]),
    st.booleans(),
    st.integers(0, 1),
)  # fmt: skip
def test_whatever_is_missing_or_no_number_never_promotes(
    flaw: str, nothing: float | None, strict: bool, which: int
) -> None:
    """One thing is missing at a time, in a candidate that would otherwise be promoted."""
    suite = only("lora", gates=EVERY_GATE.model_copy(update={"strict": strict}))
    rows, lora = list(LORA_PASSES), standing("lora", cost=SOUND_COST)
    if flaw in ("latency_p95_s", "latency_p99_s", "usd_per_query", "peak_memory_bytes"):
        lora = replace(lora, cost=replace(SOUND_COST, **{flaw: nothing}))
    elif flaw == "error_rate":
        lora = replace(lora, error_rate=NAN)
    elif flaw == "run_ids":
        lora = replace(lora, run_ids={})
    elif flaw == "row":
        del rows[which]
    elif flaw == "n":
        rows[which] = replace(rows[which], n=0)
    elif flaw == "outcome":
        rows[which] = replace(rows[which], outcome=None)
    elif flaw != "standing":
        rows[which] = replace(rows[which], **{flaw: NAN})
    standings = {} if flaw == "standing" else {"lora": lora}
    verdict = decide(suite, rows, standings, CHECKPOINTS, lambda row: None, conditions=())
    assert verdict.decision != "promote"
    assert verdict.winner is None


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if not outcome.allows_promotion])
def test_a_condition_that_does_not_pass_never_promotes(outcome: Outcome) -> None:
    condition = gate_finding(GateCode.LOOKS, outcome, "")
    assert judged(LORA_PASSES, suite=only("lora"), conditions=[condition]).decision != "promote"


def test_recipe_rows_do_not_decide() -> None:
    rows = [comparison(), comparison(baseline="zero_shot"), comparison(estimand="recipe", outcome="fail")]
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


def test_a_condition_about_some_candidates_holds_these_alone() -> None:
    about_full = Finding("MLB106", Severity.ERROR, Outcome.FAIL, "not compared with it", {"candidates": ["full"]})
    three = standing("full")
    standings = {"lora": standing("lora"), "full": three}
    verdict = decide(SUITE, BOTH_PASS, standings, CHECKPOINTS, lambda row: None, conditions=[about_full])
    assert (verdict.decision, verdict.winner) == ("promote", "lora")  # full would be the better on dev


def test_what_is_waived_stands_in_the_verdict() -> None:
    waived = Finding("MLB102", Severity.ERROR, Outcome.NOT_APPLICABLE, "waived by the suite", {"waived": "rules only"})
    verdict = judged(suite=only("lora"), conditions=[waived])
    assert verdict.reason == "lora passed every registered contrast and budget; waived: MLB102 (rules only)"
    assert verdict.waived == {"MLB102": "rules only"}


def test_several_that_pass_are_compared_by_one_metric_or_not_at_all() -> None:
    """Primary contrasts by different metrics say nothing of which candidate is better."""
    apart = {"lora": {"dev__accuracy": 0.6, "dev__brier": 0.30}, "full": {"dev__accuracy": 0.7, "dev__brier": 0.40}}

    def winner(suite: Suite, measured: dict[str, dict[str, float]]) -> Verdict:
        checkpoints = {
            name: choose_checkpoint(
                [evaluation(table(DATA, RIGHT, baseline=name, seed=2), **dev)], "accuracy", higher_is_better=True
            )
            for name, dev in measured.items()
        }
        standings = {"lora": standing("lora"), "full": standing("full")}
        return decide(suite, BOTH_PASS, standings, checkpoints, lambda row: None, conditions=())

    by_brier = SUITE.model_copy(update={"matrix": SUITE.matrix.model_copy(update={"winner_by": "brier"})})
    assert winner(SUITE, apart).winner == "full"
    assert winner(by_brier, apart).winner == "lora"
    assert "better on dev by brier" in winner(by_brier, apart).reason
    by_nll = {"lora": {"dev__nll_nats": 0.9}, "full": {"dev__accuracy": 0.7, "dev__nll_nats": 1.2}}
    assert winner(SUITE, by_nll).winner == "lora"  # accuracy of one is not known, the likelihood of both is
    nothing = winner(SUITE, {"lora": {"dev__accuracy": 0.6}, "full": {"dev__brier": 0.4}})
    assert (nothing.decision, nothing.winner) == ("hold", None)
    assert "not measured there for full" in nothing.reason and "matrix.winner_by" in nothing.reason
