"""Answers from elsewhere: joined by id or refused with every reason, and honest about what is not known of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mlbaseline.errors import DataError
from mlbaseline.metrics import add_scores, measure
from mlbaseline.models.recorded import RecordedAnswers, check_seeds, read_answers
from mlbaseline.records import Example, Signature, TaskData
from mlbaseline.results import ResultTable, tabulate

LABELS = ("no", "yes")
DATA = TaskData("test", tuple(Example(f"e{i}", {}, LABELS[i % 2], LABELS) for i in range(4)), LABELS, "d" * 64)
RIGHT = ["no", "yes", "no", "yes"]


def rows(*changes: dict[str, Any], **columns: list[Any]) -> list[tuple[int, dict[str, Any]]]:
    """One row per example with these columns; a change is laid over the row of its position, `example_id` included."""
    found = [{"example_id": f"e{i}", **{name: cells[i] for name, cells in columns.items()}} for i in range(4)]
    for position, change in enumerate(changes):
        found[position] |= change
    return list(enumerate(found, start=1))


def table_of(given: list[tuple[int, dict[str, Any]]]) -> ResultTable:
    (answers,) = read_answers(given, DATA, where="baselines.a").values()
    model = RecordedAnswers("production", answers, "f" * 64)
    signature = Signature(model.signature_fields())
    return tabulate(DATA, model.answer(DATA.examples), baseline="a", kind="production", seed=None, signature=signature)


def test_predictions_become_a_table_with_our_metrics() -> None:
    given = rows(
        prediction=["no", "yes", "yes", "yes"],
        latency_s=["0.5", "", None, 0.25],
        tokens_in=["12", 7.0, "", None],
        cost_usd=["0.001", 0, "2e-3", 0.001],
    )
    table = add_scores(table_of(given), LABELS, ["accuracy", "nll_nats"])
    assert measure(table, LABELS, "accuracy") == 0.75
    assert measure(table, LABELS, "nll_nats") is None
    assert table.frame["tokens_in"].tolist() == [12, 7, 0, 0]
    assert table.frame["cost_usd"].sum() == pytest.approx(0.004)
    assert table.frame["latency_s"].isna().tolist() == [False, True, True, False]


def test_the_sources_own_scores_are_kept_and_said_to_be_of_unknown_definition() -> None:
    table = table_of(rows(**{"score.accuracy": ["1", "0", 0, "0.5"]}, prediction=RIGHT))
    assert measure(add_scores(table, LABELS, ["accuracy"]), LABELS, "accuracy") == 0.375
    assert table.signature.fields["metric.version"] == "unknown"
    assert "metric.version" not in table_of(rows(prediction=RIGHT)).signature.fields


def test_an_error_counts_as_wrong_whatever_else_its_row_says() -> None:
    changed = rows({"error": "timeout"}, prediction=RIGHT, error=["", None, "", ""], **{"score.accuracy": [1, 1, 1, 1]})
    table = table_of(changed)
    assert measure(table, LABELS, "accuracy") == 0.75
    assert table.frame["prediction"].isna().tolist() == [True, False, False, False]
    nll = table_of(rows({"error": "refused"}, error=[""] * 4, **{"score.nll_nats": [0.1, 0.1, 0.1, 0.1]}))
    assert nll.frame["score.nll_nats"].tolist() == pytest.approx([math.log(2), 0.1, 0.1, 0.1])


def test_log_likelihoods_of_every_label() -> None:
    logliks = {"loglik_nats.no": ["-0.1", -2, -0.1, ""], "loglik_nats.yes": [-2.5, -0.2, -3, -0.3]}
    table = table_of(rows(prediction=RIGHT, **logliks))
    found = table.logliks(LABELS)
    assert found is not None
    assert found[1].tolist() == [-2, -0.2]
    assert all(map(math.isnan, found[3]))
    with pytest.raises(DataError, match=r"a column loglik_nats.<label> for each of the labels"):
        table_of(rows(prediction=RIGHT, **{"loglik_nats.no": [-1, -1, -1, -1]}))


def test_a_seed_column_makes_a_rung_per_seed() -> None:
    twice = [(n, {**row, "seed": seed}) for seed in ("0", 1.0) for n, row in rows(prediction=RIGHT)]
    assert list(read_answers(twice, DATA, where="a")) == [0, 1]
    check_seeds({0: {}, 1: {}}, [0, 1, 2], needs_seed=True, where="a")
    with pytest.raises(DataError, match=r"seeds \[1\], which are not among the suite's seeds \[0\]"):
        check_seeds({0: {}, 1: {}}, [0], needs_seed=True, where="a")
    with pytest.raises(DataError, match="is trained or drawn with a seed"):
        check_seeds({None: {}}, [0], needs_seed=True, where="a")
    check_seeds({None: {}}, [0], needs_seed=False, where="a")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rows({"example_id": "x"}, prediction=RIGHT), r"1 ids that are not in the split test; .*\(row 1: 'x'\)"),
        (rows({"example_id": ""}, prediction=RIGHT), r"1 ids that are not in the split test"),
        (rows(prediction=RIGHT)[1:], r"1 examples of the split test without a row; .*\('e0'\)"),
        (rows(prediction=RIGHT) + rows(prediction=RIGHT)[:1], r"1 rows that repeat an example; .*\(row 1: 'e0'\)"),
        (rows({"prediction": "maybe"}, prediction=RIGHT), r"none of the labels \['no', 'yes'\].*\(row 1: 'maybe'\)"),
        (rows({"prediction": ""}, prediction=RIGHT), r"1 rows with neither a prediction nor an error \(row 1\)"),
        (rows(**{"score.accuracy": [1, "high", 0, 1]}), r"score.accuracy that are not a number from 0 to 1 \(row 2"),
        (rows(**{"score.accuracy": [1, "", 0, 1]}), r"1 rows without score.accuracy; say `error` .*\(row 2\)"),
        (rows(**{"score.accuracy": [1, 75, 0, 1]}), r"score.accuracy that are not a number from 0 to 1 \(row 2: 75\)"),
        (rows(**{"score.nll_nats": [1, -1, 0, 1]}), r"score.nll_nats that are not a number of at least 0"),
        (rows(prediction=RIGHT, tokens_in=[1, 2.5, 1, 1]), r"tokens_in that are not a whole number of at least 0"),
        (rows(prediction=RIGHT, tokens_in=[1, 2**63, 1, 1]), r"tokens_in that are not a whole number of at least 0"),
        (rows(prediction=RIGHT, latency_s=[1, 10**400, 1, 1]), r"latency_s that are not a number of at least 0"),
        (rows(prediction=RIGHT, latency_s=[1, "inf", 1, 1]), r"latency_s that are not a number of at least 0"),
        (rows(prediction=RIGHT, seed=[0, "", 0, 0]), r"1 rows without a seed although the file has the column"),
        (
            rows(label=RIGHT),
            r"column example_id, and prediction, score.<metric> or nats; got: example_id, label",
        ),
        (rows(**{"score.accurcy": [1, 1, 0, 1]}), r"score.accurcy: no metric of single examples is called so"),
        (rows(**{"score.macro_f1": [1, 1, 0, 1]}), r"macro_f1, follows from the column `prediction`"),
    ],
)
def test_what_does_not_fit_is_said(given: list[tuple[int, dict[str, Any]]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_answers(given, DATA, where="baselines.a")


def test_all_problems_are_said_at_once_the_first_of_each() -> None:
    wrong = [(n, {"example_id": f"x{n}", "prediction": "no"}) for n in range(1, 6)]
    with pytest.raises(DataError) as caught:
        read_answers(wrong, DATA, where="baselines.a")
    assert "5 ids that are not in the split test" in str(caught.value)
    assert "row 3: 'x3', …)" in str(caught.value)
    assert "row 4" not in str(caught.value)


def test_the_signature_says_what_is_unknown() -> None:
    known = RecordedAnswers("trivial", {}, "f" * 64).signature_fields()
    assert known == {"model.kind": "trivial", "model.recorded_sha256": "f" * 64}
    model = RecordedAnswers("peft", {}, "f" * 64).signature_fields()
    assert {name for name, value in model.items() if value == "unknown"} == {
        *("model.sha256", "prompt.template", "prompt.chat_template", "prompt.shots"),
        *("engine.version", "engine.precision"),
    }


OPEN = TaskData("test", tuple(Example(f"e{i}", {}, f"answer {i}", ()) for i in range(4)), (), "d" * 64)


def open_table(given: list[tuple[int, dict[str, Any]]]) -> ResultTable:
    (answers,) = read_answers(given, OPEN, where="baselines.a").values()
    model = RecordedAnswers("production", answers, "f" * 64)
    answered = model.answer(OPEN.examples)
    return tabulate(OPEN, answered, baseline="a", kind="production", seed=None, signature=Signature({}))


def test_where_there_are_no_labels_any_text_is_an_answer() -> None:
    made = open_table(rows({"error": "timeout"}, prediction=["", "Answer 1!", "", 3]))
    made = add_scores(made, (), ["exact_match"])
    assert list(made.scores("exact_match")) == [0, 1, 0, 0]
    failed = open_table(rows({"error": "timeout"}, **{"score.exact_match": [None, 1, 0.5, 0]}))
    assert measure(failed, (), "exact_match") == 0.375


def test_likelihoods_of_texts() -> None:
    made = open_table(rows({"error": "too long"}, nats=[None, 8, 8, 8], tokens=["", 4, 4, 4]))
    nats = 24 + 8 * math.log(256)
    assert measure(made, (), "byte_perplexity") == pytest.approx(math.exp(nats / 32))
    assert measure(made, (), "token_perplexity") == pytest.approx(math.exp(nats / (12 + 8)))


def test_a_score_of_another_kind_is_refused() -> None:
    with pytest.raises(DataError, match="no metric of single examples is called so"):
        open_table(rows(**{"score.accuracy": [1, 1, 1, 1]}))
