from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier

from mlbaseline import suite
from mlbaseline.assets import fetch
from mlbaseline.errors import DataError
from mlbaseline.models.trivial import TrivialRule
from mlbaseline.records import Answer, Example, TaskData
from mlbaseline.tasks import load_task
from mlbaseline.tasks.prompting import placeholders

LABELS = ("negative", "neutral", "positive", "never seen")
COUNTS = (30, 60, 10, 0)
STRATEGIES = ("majority", "uniform", "stratified")


def spec(strategy: str, **more: Any) -> suite.Trivial:
    return suite.Trivial.model_validate({"kind": "trivial", "strategy": strategy, **more})


def examples(number: int, text: str = "text") -> tuple[Example, ...]:
    return tuple(Example(f"e{i}", {"text": text, "label": "love"}, LABELS[i % 3], LABELS) for i in range(number))


def train() -> TaskData:
    targets = [label for label, count in zip(LABELS, COUNTS, strict=True) for _ in range(count)]
    found = tuple(Example(f"t{i}", {}, target, LABELS) for i, target in enumerate(targets))
    return TaskData("train", found, LABELS, "digest of train")


def answers(strategy: str, asked: Sequence[Example], seed: int = 0) -> list[Answer]:
    return list(TrivialRule(spec(strategy), labels=LABELS, train=train(), seed=seed).answer(asked))


def test_majority_is_the_most_frequent_label() -> None:
    assert {answer.prediction for answer in answers("majority", examples(20))} == {"neutral"}


def test_of_equally_frequent_labels_the_first_wins() -> None:
    even = TaskData("train", (Example("1", {}, "positive", LABELS), Example("2", {}, "neutral", LABELS)), LABELS, "")
    (answer,) = TrivialRule(spec("majority"), labels=LABELS, train=even).answer(examples(1))
    assert answer.prediction == "neutral"


@pytest.mark.parametrize(("strategy", "shares"), [("uniform", (0.25,) * 4), ("stratified", (0.3, 0.6, 0.1, 0.0))])
def test_draws_have_the_promised_frequencies(strategy: str, shares: tuple[float, ...]) -> None:
    drawn = Counter(answer.prediction for answer in answers(strategy, examples(4_000)))
    seen = [(drawn[label], share * 4_000) for label, share in zip(LABELS, shares, strict=True) if share]
    assert sum(count for count, _ in seen) == 4_000, "a label without share was drawn"
    assert stats.chisquare([count for count, _ in seen], [expected for _, expected in seen]).pvalue > 1e-3


def test_means_what_scikit_learns_dummies_mean() -> None:
    targets = np.array([example.target for example in train().examples])
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(targets), 1)), targets)
    assert {answer.prediction for answer in answers("majority", examples(5))} == set(dummy.predict([[0]]))
    drawn = Counter(answer.prediction for answer in answers("stratified", examples(3_000)))
    shares = dict(zip(dummy.classes_, dummy.predict_proba([[0]])[0], strict=True))
    assert {label: count / 3_000 for label, count in drawn.items()} == pytest.approx(shares, abs=0.03)


@pytest.mark.parametrize("strategy", ["uniform", "stratified"])
def test_draws_depend_on_seed_and_id_and_not_on_company(strategy: str) -> None:
    asked = examples(200)
    by_id = {answer.example_id: answer.prediction for answer in answers(strategy, asked)}
    assert by_id == {a.example_id: a.prediction for a in answers(strategy, asked[::-1])}
    assert answers(strategy, asked[7:8])[0].prediction == by_id["e7"]
    assert by_id != {a.example_id: a.prediction for a in answers(strategy, asked, seed=1)}


def test_the_two_lotteries_are_independent() -> None:
    agree = np.mean(
        [
            a.prediction == b.prediction
            for a, b in zip(answers("uniform", examples(2_000)), answers("stratified", examples(2_000)), strict=True)
        ]
    )
    assert agree == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_log_likelihoods_are_finite_and_sum_to_one(strategy: str) -> None:
    (answer,) = answers(strategy, examples(1))
    assert len(answer.loglik_nats) == len(LABELS)
    assert sum(map(math.exp, answer.loglik_nats)) == pytest.approx(1)
    expected = {"uniform": 1 / 4}.get(strategy, (10 + 1) / (100 + 4))
    assert math.exp(answer.loglik_nats[2]) == pytest.approx(expected)


def test_keyword_takes_the_first_rule_that_matches_in_the_prompts_fields() -> None:
    rules = {"positive": "love|great", "negative": "hate|great"}
    model = TrivialRule(spec("keyword", rules=rules, default="neutral"), labels=LABELS, fields=("text",))
    found = [next(model.answer(examples(1, text))) for text in ("I hate it", "great", "nothing", "")]
    assert [answer.prediction for answer in found] == ["negative", "positive", "neutral", "neutral"]
    assert all(answer.loglik_nats == () for answer in found)


def test_every_answer_is_timed() -> None:
    for answer in answers("stratified", examples(10)):
        assert answer.latency_s == answer.compute_s > 0


@pytest.mark.parametrize("strategy", ["majority", "stratified"])
def test_without_train_there_is_nothing_to_count(strategy: str) -> None:
    with pytest.raises(DataError, match=f"baseline {strategy}: counts labels in the split train"):
        TrivialRule(spec(strategy), labels=LABELS, seed=0)


def test_uniform_needs_no_train_and_a_draw_needs_a_seed() -> None:
    assert next(TrivialRule(spec("uniform"), labels=LABELS, seed=0).answer(examples(1))).prediction in LABELS
    with pytest.raises(ValueError, match="give a seed"):
        TrivialRule(spec("uniform"), labels=LABELS)


def test_what_is_random() -> None:
    keyword = spec("keyword", rules={"positive": "a"}, default="neutral")
    assert [s.is_random for s in (*map(spec, STRATEGIES), keyword)] == [False, True, True, False]


def test_signature_fields_tell_apart_what_answers_differently() -> None:
    def fields(rules: dict[str, str] | None = None, strategy: str = "keyword") -> tuple[Any, ...]:
        more = {"rules": rules, "default": "neutral"} if rules else {}
        model = TrivialRule(spec(strategy, **more), labels=LABELS, train=train(), seed=0, fields=("text",))
        return tuple(sorted(model.signature_fields().items()))

    rules = [{"positive": "a", "negative": "b"}, {"negative": "b", "positive": "a"}, {"positive": "a", "negative": "c"}]
    assert len({*map(fields, rules), *(fields(strategy=strategy) for strategy in STRATEGIES)}) == 6
    assert dict(fields(strategy="stratified"))["model.train_digest"] == "digest of train"
    assert dict(fields(strategy="uniform"))["model.train_digest"] is None


def test_the_tiny_suites_rungs(tiny_suite: suite.Suite) -> None:
    task = load_task(tiny_suite, partial(fetch, root=tiny_suite.root))
    shown = placeholders(tiny_suite.task.prompt)
    for name in ("majority", "uniform", "stratified", "keyword"):
        baseline = tiny_suite.baselines[name]
        assert isinstance(baseline, suite.Trivial)
        model = TrivialRule(baseline, labels=("bad", "good"), train=task.splits["train"], seed=0, fields=shown)
        found = list(model.answer(task.splits["test"].examples))
        assert [answer.example_id for answer in found] == [example.id for example in task.splits["test"].examples]
        assert {answer.prediction for answer in found} <= {"bad", "good"}


def open_train() -> TaskData:
    said = ("Paris", "Rome", "Paris", "42")
    return TaskData("train", tuple(Example(f"t{i}", {}, text, ()) for i, text in enumerate(said)), (), "d")


def open_answers(strategy: str, **more: Any) -> list[Answer]:
    asked = tuple(Example(f"e{i}", {"text": "where?"}, "Rome", ()) for i in range(200))
    rule = TrivialRule(spec(strategy, **more), labels=(), train=open_train(), seed=3, fields=("text",))
    return list(rule.answer(asked))


def test_where_there_are_no_labels_the_answers_of_train_are_what_there_is_to_say() -> None:
    assert {answer.prediction for answer in open_answers("majority")} == {"Paris"}
    drawn = Counter(answer.prediction for answer in open_answers("stratified"))
    assert drawn.keys() == {"Paris", "Rome", "42"}
    assert drawn["Paris"] > drawn["Rome"] > 20
    assert all(answer.loglik_nats == () for answer in open_answers("majority"))


def test_one_answer_for_all() -> None:
    assert {answer.prediction for answer in open_answers("constant", default="no idea")} == {"no idea"}
    assert {a.prediction for a in open_answers("keyword", rules={"Rome": "where"}, default="x")} == {"Rome"}
