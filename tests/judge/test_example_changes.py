"""Examples won and lost agree with the scores, and a confusion matrix with scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter
from pydantic_core import to_json
from sklearn.metrics import confusion_matrix

from mlbaseline.errors import DataError
from mlbaseline.judge.example_changes import MAX_EXAMPLES, MAX_TEXT, compare_examples, report_examples
from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.records import Change, ExampleReport
from tests.support.comparisons.judged import LABELS, evaluation
from tests.support.ladders.sliced_ladders import data, suite, table

N = 240
TASK = data(N)
INPUTS = {example.id: f"text {example.fields['text']}" for example in TASK.examples}


def right(share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(N) < share


def ladder(seeds: int = 2) -> Ladder:
    """base and other without seeds, lora with `seeds` of them; the best on dev is the last one."""
    rungs = [evaluation(table(TASK, right(share, 7), name)) for name, share in (("base", 0.5), ("other", 0.6))]
    for seed in range(seeds):
        made = replace(table(TASK, right(0.8, 20 + seed), "lora"), seed=seed)
        rungs.append(evaluation(made, dev__accuracy=0.7 + 0.1 * seed))
    return build_ladder(suite(), rungs)


def test_every_example_is_counted_once_by_what_both_sides_scored() -> None:
    made = ladder()
    pair = compare_examples(made, "lora", "base", INPUTS, metric="accuracy")
    ours = made.checkpoints["lora"].evaluation.table.scores("accuracy")
    theirs = made.rungs["base"][0].table.scores("accuracy")
    assert ours is not None and theirs is not None
    assert pair.counts == {
        Change.WON: int(((ours == 1) & (theirs == 0)).sum()),
        Change.LOST: int(((ours == 0) & (theirs == 1)).sum()),
        Change.BOTH_WRONG: int(((ours == 0) & (theirs == 0)).sum()),
        Change.BOTH_RIGHT: int(((ours == 1) & (theirs == 1)).sum()),
    }
    assert len(pair.examples) == N
    assert sorted(e.example_id for e in pair.examples) == sorted(e.id for e in TASK.examples)
    by_id = {example.id: example for example in TASK.examples}
    for example in pair.examples:
        assert example.target == by_id[example.example_id].target
        assert example.slices == by_id[example.example_id].slices
        assert example.input == INPUTS[example.example_id]
        assert example.difference == example.candidate.score - example.baseline.score
        assert (example.candidate.prediction == example.target) == (example.candidate.score == 1)
        assert sum(example.candidate.probabilities.values()) == pytest.approx(1)


def test_turning_a_pair_around_swaps_won_and_lost() -> None:
    one = compare_examples(ladder(), "lora", "base", {}, metric="accuracy").counts
    other = compare_examples(ladder(), "base", "lora", {}, metric="accuracy").counts
    assert (one[Change.WON], one[Change.LOST]) == (other[Change.LOST], other[Change.WON])
    assert one[Change.BOTH_WRONG] == other[Change.BOTH_WRONG]


def test_flips_are_examples_that_only_some_seeds_get_right() -> None:
    made = ladder()
    seeds = np.stack([one.table.scores("accuracy") for one in made.rungs["lora"]])
    pair = compare_examples(made, "lora", "base", {}, metric="accuracy")
    assert pair.candidate_flips == int((seeds[0] != seeds[1]).sum()) > 0
    assert pair.baseline_flips == 0
    first = pair.examples[0]
    assert len(first.candidate.seed_scores) == 2
    assert first.candidate.score == first.candidate.seed_scores[1]  # the second seed is the better on dev


def test_where_lower_is_better_a_lower_loss_wins_and_the_largest_difference_comes_first() -> None:
    pair = compare_examples(ladder(), "lora", "base", {}, metric="nll_nats")
    sizes = [abs(e.difference) for e in pair.examples if e.change == Change.WON]
    assert sizes == sorted(sizes, reverse=True)
    won = next(e for e in pair.examples if e.change == Change.WON)
    assert won.difference > 0
    assert won.candidate.score < won.baseline.score


def test_the_metric_is_the_suites_first_that_both_sides_have() -> None:
    assert compare_examples(ladder(), "lora", "base", {}).metric == "accuracy"


def test_an_example_without_a_score_is_in_no_count() -> None:
    made = ladder(seeds=1)
    base = made.rungs["base"][0]
    frame = base.table.frame.copy()
    frame.loc[3, "score.accuracy"] = np.nan
    changed = build_ladder(
        suite(), [replace(base, table=replace(base.table, frame=frame)), *made.rungs["other"], *made.rungs["lora"]]
    )
    assert sum(compare_examples(changed, "lora", "base", {}, metric="accuracy").counts.values()) == N - 1


def test_an_unknown_rung_is_named_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match=r"got 'paper'; there is: base, other, lora"):
        compare_examples(ladder(), "lora", "paper", {})


def test_a_report_holds_some_of_each_change_with_texts_cut() -> None:
    long = {example.id: "word " * 1000 for example in TASK.examples}
    report = report_examples(ladder(), long)
    (pair,) = report.pairs
    assert (pair.candidate, pair.baseline, pair.metric) == ("lora", "base", "accuracy")
    shown = [e.change for e in pair.examples]
    assert set(shown) == {Change.WON, Change.LOST, Change.BOTH_WRONG}
    assert max(shown.count(change) for change in shown) == MAX_EXAMPLES
    assert all(len(e.input or "") == MAX_TEXT for e in pair.examples)
    assert sum(pair.counts.values()) == N


def test_confusions_are_those_of_scikit_learn() -> None:
    made = ladder()
    by_name = {confusion.baseline: confusion for confusion in report_examples(made, {}).confusions}
    assert list(by_name) == ["base", "other", "lora"]
    frame = made.checkpoints["lora"].evaluation.table.frame
    expected = confusion_matrix(frame["target"], frame["prediction"], labels=list(LABELS))
    assert np.array_equal(np.array(by_name["lora"].counts)[:, :-1], expected)
    assert all(row[-1] == 0 for row in by_name["lora"].counts)


def test_an_answer_that_is_no_class_stands_in_the_last_column() -> None:
    made = ladder(seeds=1)
    lora = made.rungs["lora"][0]
    frame = lora.table.frame.copy()
    frame.loc[[0, 5], "prediction"] = ["maybe", None]
    changed = build_ladder(
        suite(), [*made.rungs["base"], *made.rungs["other"], replace(lora, table=replace(lora.table, frame=frame))]
    )
    confusion = report_examples(changed, {}).confusions[-1]
    assert sum(row[-1] for row in confusion.counts) == 2
    assert sum(map(sum, confusion.counts)) == N


def test_it_is_stored_and_read_back() -> None:
    report = report_examples(ladder(), INPUTS)
    stored = to_json(report, inf_nan_mode="strings")
    assert TypeAdapter(ExampleReport).validate_json(stored) == report
