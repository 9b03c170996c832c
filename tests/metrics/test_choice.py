"""Metrics against scikit-learn and by hand; error rows count as declared."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef

from mlbaseline.errors import DataError
from mlbaseline.metrics import METRICS, add_scores, corpus_statistics, measure, read_rows
from mlbaseline.records import Answer, Example, OutputType, Signature, TaskData
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import METRIC_NAMES, MetricName

LABELS = ("x", "y", "z")
CHOICE = METRIC_NAMES[OutputType.MULTIPLE_CHOICE]
N = 200
RNG = np.random.default_rng(3)
TARGETS = RNG.choice(LABELS, N, p=[0.6, 0.3, 0.1])
LOGLIKS = RNG.normal(size=(N, 3)) + 1.5 * (TARGETS[:, None] == np.array(LABELS))
PREDICTIONS = np.array(LABELS)[LOGLIKS.argmax(axis=1)]
DATA = TaskData("test", tuple(Example(f"{i:04}", {}, str(t), LABELS) for i, t in enumerate(TARGETS)), LABELS, "d")


def table(errors: int = 0, *, with_logliks: bool = True) -> ResultTable:
    answers = [
        Answer(example.id, None, error="boom")
        if position < errors
        else Answer(example.id, str(PREDICTIONS[position]), tuple(LOGLIKS[position]) if with_logliks else ())
        for position, example in enumerate(DATA.examples)
    ]
    made = tabulate(DATA, answers, baseline="b", kind="pretrained", seed=None, signature=Signature({}))
    return add_scores(made, LABELS, CHOICE)


def value(name: str, errors: int = 0) -> float:
    found = measure(table(errors), LABELS, name)
    assert found is not None
    return found


def test_the_suite_names_exactly_the_metrics_there_are() -> None:
    assert set(get_args(MetricName)) == set(METRICS)


def test_against_scikit_learn() -> None:
    probabilities = np.exp(LOGLIKS) / np.exp(LOGLIKS).sum(axis=1, keepdims=True)
    assert value("accuracy") == accuracy_score(TARGETS, PREDICTIONS)
    assert value("macro_f1") == pytest.approx(f1_score(TARGETS, PREDICTIONS, average="macro"), abs=1e-12)
    assert value("mcc") == pytest.approx(matthews_corrcoef(TARGETS, PREDICTIONS), abs=1e-12)
    assert value("nll_nats") == pytest.approx(log_loss(TARGETS, probabilities, labels=list(LABELS)), abs=1e-12)


def test_brier_and_ece_by_hand() -> None:
    data = TaskData("test", tuple(Example(str(i), {}, "x", LABELS[:2]) for i in range(2)), LABELS[:2], "d")
    logs = tuple(np.log([0.8, 0.2]))
    answers = [Answer("0", "x", logs), Answer("1", "y", logs[::-1])]
    made = tabulate(data, answers, baseline="b", kind="pretrained", seed=None, signature=Signature({}))
    made = add_scores(made, LABELS[:2], CHOICE)
    assert measure(made, LABELS[:2], "brier") == pytest.approx((2 * 0.2**2 + 2 * 0.8**2) / 2)
    assert measure(made, LABELS[:2], "ece") == pytest.approx(
        0.8 - 0.5
    )  # both in one bin: said 0.8, right half the time


def test_error_rows_count_as_declared() -> None:
    assert value("accuracy", N) == 0.0
    assert value("macro_f1", N) == 0.0
    answered = table().frame.iloc[-1]
    assert value("nll_nats", N - 1) == pytest.approx(((N - 1) * np.log(3) + answered["score.nll_nats"]) / N)
    assert value("brier", N - 1) == pytest.approx(((N - 1) * 2 / 3 + answered["score.brier"]) / N)
    assert value("accuracy", 20) == accuracy_score(TARGETS[20:], PREDICTIONS[20:]) * (N - 20) / N


def test_likelihoods_are_compared_after_normalising_over_the_choices() -> None:
    shifted = table()
    frame = shifted.frame.assign(
        **{f"loglik_nats.{label}": shifted.frame[f"loglik_nats.{label}"] - 700 for label in LABELS}
    )
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("score.")])
    moved = add_scores(replace(shifted, frame=frame), LABELS, CHOICE)
    assert measure(moved, LABELS, "nll_nats") == pytest.approx(value("nll_nats"), abs=1e-9)


def test_what_the_rows_do_not_carry_is_none_not_a_number() -> None:
    bare = table(with_logliks=False)
    assert {name for name in CHOICE if measure(bare, LABELS, name) is None} == {"nll_nats", "brier", "ece"}


def test_a_metric_of_some_rows() -> None:
    mask = np.arange(N) < 50
    assert measure(table(), LABELS, "accuracy", mask) == accuracy_score(TARGETS[:50], PREDICTIONS[:50])
    expected = f1_score(TARGETS[:50], PREDICTIONS[:50], average="macro")
    assert measure(table(), LABELS, "macro_f1", mask) == pytest.approx(expected, abs=1e-12)
    nothing = np.zeros(N, dtype=bool)
    assert measure(table(), LABELS, "accuracy", nothing) is None
    assert measure(table(), LABELS, "macro_f1", nothing) is None


def test_scores_that_the_source_gives_are_kept() -> None:
    answers = [Answer(example.id, None, scores={"accuracy": 0.75}) for example in DATA.examples]
    made = tabulate(DATA, answers, baseline="human", kind="human", seed=None, signature=Signature({}))
    made = add_scores(made, LABELS, CHOICE)
    assert measure(made, LABELS, "accuracy") == 0.75
    assert measure(made, LABELS, "macro_f1") is None


def test_unknown_target_is_an_error() -> None:
    with pytest.raises(DataError, match="target 'z' is not among the labels"):
        measure(table(), LABELS[:2], "macro_f1")
    with pytest.raises(ValueError, match="no corpus statistics"):
        corpus_statistics(table(), LABELS, "accuracy")


@pytest.mark.parametrize("name", ["ece", "macro_f1", "mcc"])
def test_a_metric_added_up_in_blocks_has_the_bits_of_one_sum(name: str) -> None:
    made = table(errors=3)
    many = replace(made, frame=pd.concat([made.frame] * 101, ignore_index=True))
    found = corpus_statistics(many, LABELS, name)
    assert found is not None
    metric, statistics = found
    some = RNG.random(len(statistics)) < 0.7
    assert measure(many, LABELS, name) == metric.of(statistics)
    assert measure(many, LABELS, name, some) == metric.of(statistics[some])
    assert measure(many, LABELS, name, ~np.ones_like(some)) is None


def test_what_is_known_of_a_table_goes_with_it() -> None:
    made = table()
    assert read_rows(made, LABELS) is read_rows(made, LABELS)
    assert measure(made, LABELS, "macro_f1") is not None
    held = weakref.ref(made)
    del made
    gc.collect()
    assert held() is None
