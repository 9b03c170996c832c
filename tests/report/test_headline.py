"""The decision and the sentence that explains it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.records import (
    CHAMPION_ALREADY,
    NO_SEED,
    NONE_PASSED,
    Assessment,
    Finding,
    Outcome,
    Role,
    Severity,
)
from mlbaseline.report import render_html, render_markdown, render_note, render_summary, render_terminal, summarise
from mlbaseline.report.headline import key_facts, verdict_reason, verdict_sentence, verdict_title
from mlbaseline.report.presenter import Presenter
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def sentence(assessment: Assessment) -> str:
    return verdict_sentence(Presenter(assessment))


def champion() -> Assessment:
    base = given.promote()
    standing = next(s for s in base.standings if s.baseline == base.verdict.winner)
    return replace(base, champion_run_id=standing.run_ids[str(base.verdict.winner_seed)])


def test_a_promotion_says_over_what_by_how_much_at_what_cost_and_what_was_not_shown() -> None:
    assert sentence(given.promote()) == (
        "full has accuracy 0.62 against 0.42 for majority (+0.21 [+0.12, +0.29]) and 0.39 for zero_shot (+0.23) on 300 "
        "test examples, at USD 1.7 per 1M queries (majority: 0); not shown: a gain over lora."
    )


def test_a_checkpoint_with_another_score_than_the_mean_of_its_seeds_says_so() -> None:
    base = given.promote()
    changed = {s.baseline: s.metrics["accuracy"] for s in base.standings}
    changed["full"] = replace(changed["full"], value=0.58, n_seeds=3)
    standings = tuple(replace(s, metrics={**s.metrics, "accuracy": changed[s.baseline]}) for s in base.standings)
    rows = tuple(replace(row, estimand="checkpoint") if row.role == Role.PRIMARY else row for row in base.comparisons)
    told = sentence(replace(base, standings=standings, comparisons=rows))
    assert told.startswith("full has accuracy 0.62 (its checkpoint; the mean of its 3 seeds is 0.58) against 0.42 for")


def test_a_hold_without_a_contrast_gives_its_reason_once() -> None:
    reason = "no candidate passed: trivial baselines: none. Add a baseline of kind trivial"
    base = odd.empty()
    held = replace(base, verdict=replace(base.verdict, reason=reason))
    for text in (render_html(held), render_markdown(held), render_terminal(held, colour=False, width=100)):
        assert text.count("trivial baselines: none") == 1


def test_what_does_not_pass_has_failed_or_is_open() -> None:
    base = given.hold()
    primary = [row for row in Presenter(base).deciding if row.role == Role.PRIMARY]
    outcomes = {id(row): Outcome.PASS for row in primary} | {
        id(primary[0]): Outcome.FAIL,
        id(primary[1]): Outcome.INCONCLUSIVE,
    }
    rows = tuple(replace(row, outcome=outcomes.get(id(row), row.outcome)) for row in base.comparisons)
    facts = {fact.label: fact for fact in key_facts(Presenter(replace(base, comparisons=rows)))}
    text = f"{len(primary) - 2} of {len(primary)} pass; 1 fails, 1 is open"
    assert (facts["Primary contrasts"].text, facts["Primary contrasts"].tone) == (text, "worse")


def test_on_few_examples_the_scores_still_agree_with_their_difference() -> None:
    base = given.promote()
    wide = [
        replace(s, metrics={name: replace(e, low=e.value - 0.2, high=e.value + 0.2) for name, e in s.metrics.items()})
        for s in base.standings
    ]
    assert "accuracy 0.62 against 0.42 for majority (+0.21 " in sentence(replace(base, standings=tuple(wide)))


def test_a_hold_says_what_failed() -> None:
    text = sentence(given.hold())
    assert text.startswith("lora has accuracy 0.61 against 0.42 for majority")
    assert "not promoted: accuracy over zero_shot on topic: apple is −0.121 [−0.243, +0.001], not more than" in text
    assert text.endswith("and 0.731 s is more than 0.5 s.")


def test_what_is_said_of_other_candidates_is_left_out_and_long_reasons_are_cut() -> None:
    base = given.hold()
    long = (
        f"lora: a budget would be judged by figures that no digest covers {'0123456789abcdef' * 2}{', and so on' * 9}"
    )
    named = Finding(
        "MLB106", Severity.ERROR, Outcome.FAIL, long, {"candidates": ["lora"]}, "Compared with the champion"
    )
    untitled = Finding("measured", Severity.ERROR, Outcome.FAIL, long, {"candidates": ["lora"]})
    other = Finding("measured", Severity.ERROR, Outcome.FAIL, "full fails", {"candidates": ["full"]})
    rows = tuple(replace(row, outcome=Outcome.PASS) if row.outcome else row for row in base.comparisons)

    def told(*findings: Finding) -> str:
        verdict = replace(base.verdict, findings=findings, reason=long)
        return sentence(replace(base, comparisons=rows, verdict=verdict)).partition("not promoted: ")[2]

    assert told(other, named) == "MLB106 Compared with the champion."
    assert told(other, untitled).startswith("lora: a budget would be judged by figures that no digest covers")
    assert len(told(other, untitled)) <= 100
    assert "01234567," in verdict_reason(Presenter(replace(base, verdict=replace(base.verdict, reason=long))))


def test_a_hold_that_lacks_only_evidence_says_so() -> None:
    base = given.hold()
    assert sentence(replace(base, verdict=replace(base.verdict, more_seeds=2))).endswith(
        "; only evidence is missing: 2 more seeds."
    )


def test_an_inconclusive_verdict_says_how_many_examples_should_decide() -> None:
    told = "; about 1,240 more test examples should decide it, as {} if the difference stays as it is."
    base = given.inconclusive()
    assert sentence(base).endswith(told.format("passed"))
    short = tuple(replace(row, margin=0.02) if row.outcome == Outcome.INCONCLUSIVE else row for row in base.comparisons)
    assert sentence(replace(base, comparisons=short)).endswith(told.format("failed"))
    assert (
        "decide it, as failed if" in render_markdown(replace(base, comparisons=short)).partition("What to do next")[2]
    )


def test_a_candidate_that_is_the_champion_is_said_to_be() -> None:
    base = given.inconclusive()
    reason = f"{NONE_PASSED}lora is {CHAMPION_ALREADY}"
    held = replace(base, verdict=replace(base.verdict, decision="hold", reason=reason, more_examples=None))
    assert sentence(held).endswith("; lora is the champion already, so that nothing is left to promote.")
    assert "the candidate is the champion already" in render_markdown(held)
    assert "undecided" not in render_markdown(held).partition("What to do next")[2]


def test_one_seed_does_not_show_what_another_would_give() -> None:
    base = given.promote()

    def with_runs(seed: str) -> Assessment:
        runs = {seed: "5a" * 16}
        standings = (replace(s, run_ids=runs) if s.baseline == "full" else s for s in base.standings)
        return replace(base, standings=tuple(standings))

    assert "not shown: what another seed would give" in sentence(with_runs("1"))
    assert "seed would give" not in sentence(with_runs(NO_SEED))


def test_rules_that_came_late_are_not_shown_to_hold() -> None:
    late = replace(given.promote(), registration=given.hold().registration)
    assert "not shown: a confirmed gain, as the rules were written after the first evaluation" in sentence(late)


def test_without_a_contrast_the_reason_stands_for_itself() -> None:
    assert sentence(odd.empty()) == "nothing was evaluated."


def test_weights_that_are_champion_already_are_kept() -> None:
    kept = champion()
    assert verdict_title(Presenter(kept)) == "Keep full, seed 1"
    assert "it is the champion already, so nothing changes" in sentence(kept)
    assert "Nothing needs to be promoted" in render_markdown(kept)
    assert verdict_title(Presenter(replace(kept, champion_run_id="another run"))) == "Promote full, seed 1"


@pytest.mark.parametrize("name", odd.ALL)
def test_every_medium_has_the_same_sentence(name: str) -> None:
    assessment = odd.ALL[name]()
    whole = summarise(assessment)
    terminal = " ".join(render_terminal(assessment, colour=False, width=100).split())
    assert whole.replace(" ", "") in terminal.replace(" ", "")
    plain = whole if name != "hostile" else "accuracy 0.61 against 0.39"
    for text in (render_note(assessment), render_summary(assessment), render_markdown(assessment)):
        assert plain in text.replace("\\", "")
    assert plain.split("<")[0] in render_html(assessment)


def test_a_long_name_is_cut_in_the_headline() -> None:
    first = sentence(odd.hostile()).partition(" has ")[0]
    assert len(first) <= 40
    assert "…" in first


def test_a_contrast_counts_once_whether_as_checkpoint_or_as_recipe() -> None:
    base = given.promote()
    rows = [row for row in base.comparisons if row.role == "primary"]
    lost = [replace(row, estimand="recipe", outcome="inconclusive") for row in rows]
    both = replace(base, comparisons=(*(replace(row, estimand="checkpoint") for row in rows), *lost))
    facts = {fact.label: fact.text for fact in key_facts(Presenter(both))}
    assert facts["Primary contrasts"] == "4 of 4 pass"
    assert "not shown: that another training run would beat majority and zero_shot too" in sentence(both)


def test_rows_that_were_left_out_are_counted_with_their_reasons() -> None:
    base = given.promote()
    counts = {
        "train": 320,
        "test": 300,
        "rows_read": 800,
        "dropped_ragged": 15,
        "dropped_duplicates": 5,
        "left_over": 60,
    }
    shown = replace(base, context={**base.context, "data": counts})
    (fact,) = [fact for fact in key_facts(Presenter(shown)) if fact.label == "Rows left out"]
    assert (fact.text, fact.tone) == ("20 of 800 (2.5%): ragged 15, duplicates 5", "open")
    assert "Rows left out" not in [fact.label for fact in key_facts(Presenter(base))]
