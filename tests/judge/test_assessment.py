"""From evaluations to rows, standings and a verdict: what is compared, corrected, and which way is better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbaseline.errors import DataError, IncomparableError, SuiteError
from mlbaseline.judge.assessment import assess
from mlbaseline.judge.contrasts.matrix import plan
from mlbaseline.judge.contrasts.power import examples_for, examples_to_decide
from mlbaseline.judge.ladder import build_ladder
from mlbaseline.metrics import add_scores
from mlbaseline.records import Answer, Assessment, Comparison, Signature
from mlbaseline.results import CompletedEvaluation, tabulate
from mlbaseline.stats import adjust, compare_paired
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import LABELS, REGISTRATION, SIGNATURE, evaluation, table, task_data
from tests.support.ladders.suites import JUDGED, JUDGED_METRICS, fill, judged_suite

N = 400
DATA = task_data(N)


def rung(name: str, rate: float, seed: int | None = None, **dev: float) -> CompletedEvaluation:
    """Right on a random share `rate` of the examples."""
    right = np.random.default_rng([len(name), seed or 0, int(rate * 1000)]).random(N) < rate
    return evaluation(add_scores(table(DATA, right, baseline=name, seed=seed), LABELS, JUDGED_METRICS), **dev)


def evaluations(lora: float = 0.8) -> list[CompletedEvaluation]:
    return [
        rung("floor", 0.5),
        rung("base", 0.6),
        *(rung("lora", lora, seed, dev__accuracy=0.7 + seed / 100, dev__nll_nats=1.0) for seed in (0, 1, 2)),
    ]


def annotator(missing: int) -> CompletedEvaluation:
    answers = [
        Answer(example.id, None, scores={} if position < missing else {"accuracy": 0.9})
        for position, example in enumerate(DATA.examples)
    ]
    fields = {key: value for key, value in SIGNATURE.items() if not key.startswith(("prompt.", "engine."))}
    made = tabulate(DATA, answers, baseline="annotator", kind="human", seed=None, signature=Signature(fields))
    return CompletedEvaluation("run-annotator", add_scores(made, LABELS, JUDGED_METRICS), {})


def assessed(found: list[CompletedEvaluation] | None = None, **options: str) -> Assessment:
    return assess(build_ladder(judged_suite(**options), found or evaluations()), REGISTRATION, {}, {})


def rows(assessment: Assessment, **wanted: object) -> list[Comparison]:
    return [r for r in assessment.comparisons if all(getattr(r, key) == value for key, value in wanted.items())]


def test_checkpoints_decide_and_recipes_are_told_apart() -> None:
    found = assessed()
    checkpoint = rows(found, role="primary", estimand="checkpoint", baseline="base")[0]
    recipe = rows(found, role="primary", estimand="recipe", baseline="base")[0]
    assert (checkpoint.n_seeds_candidate, recipe.n_seeds_candidate) == (1, 3)
    best_on_dev = evaluations()[-1].table
    direct = compare_paired(best_on_dev.scores("accuracy"), evaluations()[1].table.scores("accuracy"))
    assert (checkpoint.delta, checkpoint.low, checkpoint.high) == (direct.delta, direct.low, direct.high)
    assert found.verdict.decision == "promote"
    assert (found.verdict.winner, found.verdict.winner_seed) == ("lora", 2)


def test_holm_over_the_primary_family_with_bonferroni_intervals() -> None:
    primary = rows(assessed(), role="primary", estimand="checkpoint")
    assert [r.p_adjusted for r in primary] == pytest.approx(adjust([r.p_value for r in primary], "holm"))
    base = next(r for r in primary if r.baseline == "base")
    wide = compare_paired(
        evaluations()[-1].table.scores("accuracy"), evaluations()[1].table.scores("accuracy"), level=0.975
    )
    assert (base.simultaneous_low, base.simultaneous_high) == (wide.low, wide.high)


def test_romano_wolf_uses_the_joint_distribution() -> None:
    joint = rows(assessed(correction="romano_wolf"), role="primary", estimand="checkpoint")
    holm = rows(assessed(), role="primary", estimand="checkpoint")
    for ours, theirs in zip(joint, holm, strict=True):
        assert ours.p_value == theirs.p_value
        assert ours.simultaneous_low < ours.low
        # Less is lost to correlated contrasts than Bonferroni takes.
        assert ours.simultaneous_low > theirs.simultaneous_low - 0.003
    recipe = rows(assessed(correction="romano_wolf"), role="primary", estimand="recipe")
    assert [r.p_adjusted for r in recipe] == pytest.approx(adjust([r.p_value for r in recipe], "holm"))


def test_guardrails_of_several_candidates_share_the_error_rate() -> None:
    """One candidate keeps all of it; each of two has half, in its p-value and in its interval."""
    alone = rows(assessed(), role="guardrail", estimand="checkpoint")
    assert all(row.p_adjusted == row.p_value and row.simultaneous_low == row.low for row in alone)
    text = fill(JUDGED, correction="holm", metric="accuracy")
    text = text.replace(
        "  guardrails: [", "  guardrails: [{candidate: annotator, over: [base], metric: accuracy, margin: -0.1}, "
    )
    shared = assess(build_ladder(parse_suite(text), [*evaluations(), annotator(0)]), REGISTRATION, {}, {})
    guardrails = rows(shared, role="guardrail", estimand="checkpoint")
    assert {row.candidate for row in guardrails} == {"annotator", "lora"}
    for row in guardrails:
        assert row.p_adjusted == pytest.approx(min(1.0, 2 * row.p_value))
        assert row.simultaneous_low < row.low


def test_no_correction_leaves_the_pointwise_interval() -> None:
    for row in rows(assessed(correction="none"), role="primary"):
        assert (row.simultaneous_low, row.p_adjusted) == (row.low, row.p_value)


def test_less_is_better_for_losses() -> None:
    """In these tables nll falls as accuracy rises: a lower loss passes, and delta is negative."""
    metric = "nll_nats"
    found = rows(assessed(metric=metric), role="primary", estimand="checkpoint", baseline="floor")[0]
    assert found.delta < 0
    assert found.outcome == "pass"
    worse = assessed([rung("floor", 0.8), rung("base", 0.8), *(rung("lora", 0.5, s) for s in (0, 1, 2))], metric=metric)
    assert rows(worse, role="primary", estimand="checkpoint", baseline="floor")[0].outcome == "fail"
    assert worse.verdict.decision == "hold"


def test_corpus_metric_in_the_matrix() -> None:
    found = rows(assessed(metric="macro_f1"), role="primary", estimand="checkpoint", baseline="base")[0]
    assert found.low < found.delta < found.high
    assert found.outcome == "pass"
    assert found.gained is None  # an example gains nothing of an F1 by itself


def test_guardrails_hold_on_every_slice() -> None:
    guarded = rows(assessed(), role="guardrail", estimand="checkpoint")
    assert [(r.slice, r.slice_value, r.n) for r in guarded] == [(None, None, N), ("half", "a", 200), ("half", "b", 200)]
    assert {r.outcome for r in guarded} == {"pass"}
    broken = np.random.default_rng(9).random(N) < np.where(np.arange(N) % 2, 1.0, 0.25)  # "a" suffers
    hurt = [
        *evaluations()[:2],
        *(
            evaluation(
                add_scores(table(DATA, broken, baseline="lora", seed=s), LABELS, JUDGED_METRICS), dev__accuracy=0.7
            )
            for s in (0, 1, 2)
        ),
    ]
    verdict = assessed(hurt).verdict
    assert verdict.decision == "hold"
    assert "half = a" in " ".join(finding.reason for finding in verdict.findings if finding.outcome == "fail")


def test_exploratory_rows_decide_nothing_and_repeat_nothing() -> None:
    found = assessed([*evaluations(), annotator(40)])
    questions = [
        (r.candidate, r.baseline, r.metric, r.slice, r.slice_value, r.estimand)
        for r in found.comparisons
        if r.role != "guardrail"
    ]
    assert len(questions) == len(set(questions))
    explored = rows(found, role="exploratory")
    assert explored and all(r.outcome is None and r.margin is None for r in explored)
    checkpoint = [r for r in explored if r.estimand == "checkpoint"]
    assert [r.p_adjusted for r in checkpoint] == pytest.approx(adjust([r.p_value for r in checkpoint], "bh"))


def test_what_the_annotator_has_no_score_for_is_left_out_on_both_sides() -> None:
    found = assessed([*evaluations(), annotator(40)])
    human = rows(found, baseline="annotator", estimand="checkpoint")
    assert {r.metric for r in human} == {"accuracy"}
    ours = evaluations()[-1].table.scores("accuracy")
    assert human[0].n == N - 40
    assert ours is not None and human[0].candidate_mean == pytest.approx(ours[40:].mean())
    standing = next(s for s in found.standings if s.baseline == "annotator")
    assert set(standing.metrics) == {"accuracy"}
    assert standing.metrics["accuracy"].value == pytest.approx(0.9)


def test_standing_over_seeds() -> None:
    standing = next(s for s in assessed().standings if s.baseline == "lora")
    means = [e.table.scores("accuracy").mean() for e in evaluations()[2:]]  # type: ignore[union-attr]
    accuracy = standing.metrics["accuracy"]
    assert accuracy.value == pytest.approx(np.mean(means))
    assert accuracy.low < accuracy.value < accuracy.high
    assert accuracy.n_seeds == 3
    assert standing.seed_std["accuracy"] == pytest.approx(np.std(means, ddof=1))
    for metric in JUDGED_METRICS:
        assert standing.metrics[metric].low <= standing.metrics[metric].value <= standing.metrics[metric].high
    assert set(standing.slices["half"]) == {"a", "b"}


def test_the_same_tables_give_the_same_assessment() -> None:
    assert assessed() == assessed()


def test_an_open_question_says_what_would_settle_it() -> None:
    close = assessed(
        [rung("floor", 0.3), rung("base", 0.78), *(rung("lora", 0.8, s, dev__accuracy=0.7) for s in (0, 1, 2))]
    )
    row = rows(close, role="primary", estimand="checkpoint", baseline="base")[0]
    assert row.outcome == "inconclusive"
    assert close.verdict.decision == "inconclusive"
    assert close.verdict.more_examples is not None and close.verdict.more_examples > N


def test_planning_follows_the_square_root_law() -> None:
    ladder = build_ladder(judged_suite(), evaluations())
    row = rows(assessed(), role="primary", estimand="checkpoint", baseline="base")[0]
    needed, half = examples_for(ladder, row, 0.02), examples_for(ladder, row, 0.01)
    assert needed is not None and half is not None
    assert half == pytest.approx(4 * needed, rel=0.02)
    assert needed == pytest.approx(N * (row.mde / 0.02) ** 2, rel=0.05)
    corpus = next(r for r in assessed().comparisons if r.metric == "macro_f1" and r.estimand == "checkpoint")
    settled = examples_to_decide(ladder, replace(corpus, delta=corpus.mde / 2, margin=0.0), family=1)
    assert settled.n == 4 * N
    assert examples_to_decide(ladder, replace(corpus, delta=0.0), family=1).n is None


def test_what_the_matrix_needs_must_be_there() -> None:
    with pytest.raises(DataError, match="the matrix compares base, but no completed evaluation of it"):
        build_ladder(judged_suite(), [e for e in evaluations() if e.table.baseline != "base"])
    with pytest.raises(DataError, match="no completed evaluation was found"):
        build_ladder(judged_suite(), [])


def test_a_registered_contrast_that_cannot_be_computed_is_an_error() -> None:
    bare = evaluations()
    frame = bare[1].table.frame
    frame = frame.drop(
        columns=[column for column in frame if str(column).startswith(("loglik", "score.nll", "score.brier"))]
    )
    bare[1] = replace(bare[1], table=replace(bare[1].table, frame=frame))
    with pytest.raises(SuiteError, match="lora over base by nll_nats cannot be computed"):
        assessed(bare, metric="nll_nats")


def test_other_data_is_refused() -> None:
    other = evaluations()
    stale = Signature({**other[0].table.signature.fields, "data.digest": "x"})
    other[0] = replace(other[0], table=replace(other[0].table, signature=stale))
    with pytest.raises(IncomparableError, match=r"data\.digest"):
        build_ladder(judged_suite(), other)


def test_plan_lists_registered_rows_first_and_once() -> None:
    planned = plan(judged_suite(), ("floor", "base", "lora"), {"half": ("a", "b")})
    roles = [row.role for row in planned]
    assert roles == sorted(roles, key=["primary", "guardrail", "exploratory"].index)
    assert len(set(planned)) == len(planned)


def test_a_candidate_has_a_score_for_every_example() -> None:
    gaps = evaluations()
    frame = gaps[-1].table.frame.copy()
    frame.loc[:4, "score.accuracy"] = np.nan
    gaps[-1] = replace(gaps[-1], table=replace(gaps[-1].table, frame=frame))
    with pytest.raises(IncomparableError, match=r"lora \(seed 2\) has no accuracy for 5 of 400 examples"):
        assessed(gaps)


def test_scores_per_token_are_refused_across_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbaseline.judge.comparability.PER_TOKEN", ("nll_nats",))
    found = evaluations()
    assert assessed(found, metric="nll_nats").comparisons  # one base model
    other = Signature({**found[1].table.signature.fields, "model.sha256": "x"})
    found[1] = replace(found[1], table=replace(found[1].table, signature=other))
    with pytest.raises(IncomparableError, match="nll_nats is counted per token, and the tokenizers differ"):
        assessed(found, metric="nll_nats")
    rows_left = {row.metric for row in assessed(found).comparisons if row.baseline == "base"}
    assert "nll_nats" not in rows_left and "accuracy" in rows_left
