from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest

from mlbaseline.assets import fetch
from mlbaseline.errors import DataError
from mlbaseline.models.human import ExpectedAnnotator
from mlbaseline.records import Example, Signature, TaskData
from mlbaseline.results import tabulate
from mlbaseline.suite import Suite
from mlbaseline.tasks import load_task


def example(agreement: Any) -> Example:
    return Example("e", {"share": agreement}, "yes", ("no", "yes"))


@pytest.mark.parametrize(("agreement", "expected"), [("0.75", 0.75), (1, 1.0), ("0", 0.0)])
def test_the_agreement_is_the_expected_accuracy(agreement: Any, expected: float) -> None:
    (answer,) = ExpectedAnnotator("share").answer([example(agreement)])
    assert answer.scores == {"accuracy": expected}
    assert (answer.prediction, answer.loglik_nats, answer.error) == (None, (), None)


@pytest.mark.parametrize("agreement", ["", None, "NA"])
def test_without_agreement_there_is_no_score_and_no_failure(agreement: Any) -> None:
    model = ExpectedAnnotator("share")
    (answer,) = model.answer([example(agreement)])
    assert (answer.scores, answer.prediction, answer.error) == ({}, None, None)
    assert model.unscored([example(agreement), example(0.5)]) == 1


@pytest.mark.parametrize("agreement", ["75", 1.01, -0.1, "high", "nan%"])
def test_what_is_no_share_names_column_example_and_value(agreement: Any) -> None:
    with pytest.raises(DataError, match=rf"column 'share': .* from 0 to 1; example 'e' has {agreement!r}"):
        list(ExpectedAnnotator("share").answer([example(agreement)]))


def test_its_signature_names_the_column() -> None:
    assert ExpectedAnnotator("a").signature_fields() != ExpectedAnnotator("b").signature_fields()


def test_its_table_has_gaps_and_no_failures(tiny_suite: Suite) -> None:
    data: TaskData = load_task(tiny_suite, partial(fetch, root=tiny_suite.root)).splits["test"]
    model = ExpectedAnnotator("agreement")
    table = tabulate(
        data, model.answer(data.examples), baseline="annotator", kind="human", seed=None, signature=Signature({})
    )
    scores = table.scores("accuracy")
    assert scores is not None
    gaps = [example.fields["agreement"] == "" for example in sorted(data.examples, key=lambda e: e.id)]
    assert any(gaps)
    assert [math.isnan(score) for score in scores] == gaps
    assert sum(gaps) == model.unscored(data.examples)
    assert table.frame["error"].isna().all()
    assert table.frame["prediction"].isna().all()
