"""Metrics of generated texts, against the libraries that define them and by hand; error rows count as declared."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from mlbaseline.metrics import add_scores, measure
from mlbaseline.metrics.text import is_contained, is_json, is_match, normalise, number_of, pass_at_k, token_f1
from mlbaseline.records import Answer, Example, OutputType, Signature, TaskData
from mlbaseline.results import ResultTable, load_table, tabulate
from mlbaseline.suite import METRIC_NAMES

RIGHT = (
    ("the quick brown fox jumps over the lazy dog",),
    ("Paris", "the city of Paris"),
    ("1,024",),
    ("It was a bright cold day in April, and the clocks were striking thirteen.", "A cold day in April."),
)
SAID = (
    "a quick brown fox jumped over the lazy dog",
    "City of Paris!",
    "1024.0",
    "It was a bright day in April and the clocks struck thirteen",
)
GENERATE = METRIC_NAMES[OutputType.GENERATE_UNTIL]


def table(
    said: tuple[str | None, ...] = SAID, *, k: int = 1, samples: tuple[tuple[str, ...], ...] = ((),) * len(SAID)
) -> ResultTable:
    examples = tuple(Example(f"{i}", {}, right[0], (), references=right[1:]) for i, right in enumerate(RIGHT))
    answers = [
        Answer(e.id, text, samples=drawn, error="boom" if text is None else None)
        for e, text, drawn in zip(examples, said, samples, strict=True)
    ]
    signature = Signature({"metric.k": k})
    made = tabulate(TaskData("test", examples, (), "d"), answers, baseline="b", kind="p", seed=0, signature=signature)
    return add_scores(made, (), GENERATE)


def scores(name: str, made: ResultTable | None = None) -> list[float]:
    found = (made or table()).scores(name)
    assert found is not None
    return list(found)


def test_the_best_accepted_answer_counts() -> None:
    assert scores("exact_match") == [0, 1, 1, 0]
    rouge = RougeScorer(["rougeL"])
    expected = [
        max(rouge.score(right, said)["rougeL"].fmeasure for right in accepted)
        for said, accepted in zip(SAID, RIGHT, strict=True)
    ]
    assert scores("rouge_l") == pytest.approx(expected, abs=1e-12)
    assert scores("token_f1")[0] == pytest.approx(2 * 6 / (7 + 7))  # articles do not count
    assert scores("token_f1")[1] == 1.0


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_corpus_metrics_are_those_of_sacrebleu(name: str) -> None:
    sets = [[right[i] if i < len(right) else "" for right in RIGHT] for i in range(2)]
    whole = {"bleu": sacrebleu.corpus_bleu, "chrf": sacrebleu.corpus_chrf}[name]
    assert measure(table(), (), name) == pytest.approx(whole(list(SAID), sets).score, abs=1e-9)
    failed = whole(["", *SAID[1:]], sets).score
    assert measure(table((None, *SAID[1:])), (), name) == pytest.approx(failed, abs=1e-9)


def test_a_failure_is_a_wrong_answer() -> None:
    broken = table((None,) * len(SAID))
    for name in GENERATE:
        assert measure(broken, (), name) == 0.0, name


def test_a_table_without_texts_has_none_of_these_metrics() -> None:
    examples = (Example("0", {}, "a", ()),)
    made = tabulate(
        TaskData("test", examples, (), ""), [Answer("0", None)], baseline="b", kind="p", seed=0, signature=Signature({})
    )
    assert all(measure(add_scores(made, (), GENERATE), (), name) is None for name in GENERATE)


@pytest.mark.parametrize(
    ("said", "right", "same"),
    [
        ("The  answer, is: Yes!", "answer is yes", True),
        ("-5", "5", False),  # without its sign's meaning it would be the same text
        ("3.14", "314", False),
        ("$1,234.50", "1234.5", True),
        ("1.", "1", True),
        ("2e3", "2000", True),
        ("1,23", "1.23", False),
        ("12 apples", "12", False),
        ("**42**", "42", True),
        ("42%", "42", True),
        ("?!", "?", False),
        ("?", " ? ", True),
        ("", "a", False),
        ("the", "the", True),
    ],
)
def test_what_matches(said: str, right: str, same: bool) -> None:
    assert is_match(said, right) is same


def test_numbers_are_whole_texts() -> None:
    assert number_of("1,234") == 1234
    assert number_of("1234,5") is None
    assert number_of("no 5") is None


def test_an_answer_is_contained_in_whole_words() -> None:
    assert is_contained("It is Paris, of course.", "paris")
    assert not is_contained("a comparison", "paris")
    assert normalise("The U.S.A.") == "usa"


def test_words_in_common() -> None:
    assert token_f1("a b c", "b c d") == pytest.approx(2 * 2 / 5)  # SQuAD drops the article
    assert token_f1("", "") == 1.0
    assert token_f1("x", "") == 0.0


def test_json_by_the_standard() -> None:
    assert is_json('{"a": [1, null]}')
    assert not is_json('{"a": NaN}')
    assert not is_json('Here you are: {"a": 1}')
    assert not is_json("[" * 100_000)


@pytest.mark.parametrize(("n", "correct", "k"), [(5, 2, 3), (6, 0, 2), (4, 4, 1), (7, 3, 7), (5, 3, 3)])
def test_pass_at_k_is_the_share_of_draws_with_a_correct_one(n: int, correct: int, k: int) -> None:
    draws = list(combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(n, correct, k) == pytest.approx(np.mean([any(draw) for draw in draws]), abs=1e-12)


def test_pass_at_k_of_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="k ≤ n"):
        pass_at_k(2, 1, 3)


def test_samples_are_judged_as_exact_match_judges(tmp_path) -> None:
    drawn = (("x", "y", "z", "x"), ("Paris", "x", "paris.", "x"), ("1024", "1", "2", "3"), ("x", "x", "x", "x"))
    made = table(tuple(d[0] for d in drawn), samples=drawn, k=2)
    made.save(tmp_path)
    again = load_table(tmp_path, baseline="b", kind="p", seed=0)
    expected = [0, 1 - 1 / 6, 1 / 2, 0]
    assert scores("pass_at_k", made) == pytest.approx(expected)
    assert scores("pass_at_k", add_scores(again, (), ["pass_at_k"])) == pytest.approx(expected)
    assert scores("exact_match", again) == [0, 1, 1, 0]  # of the first sample
