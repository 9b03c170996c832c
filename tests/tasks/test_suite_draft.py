"""What a first suite takes from the columns of a data file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mlbaseline.errors import DataError
from mlbaseline.tasks.data_files import DataTable
from mlbaseline.tasks.data_files.table import RowCollector
from mlbaseline.tasks.suite_draft import SuiteDraft, draft_suite

QUEUES = ("billing", "technical", "other")
N = 120


def table(**columns: Sequence[object]) -> DataTable:
    rows = RowCollector(columns)
    for number, cells in enumerate(zip(*columns.values(), strict=True), start=1):
        rows.add(number, cells)
    return rows.table(Path("data.csv"))


def texts(length: int = 40) -> list[str]:
    return [f"{number:03d} " + "x" * length for number in range(N)]


def cycle(values: Sequence[str], n: int = N) -> list[str]:
    return [values[number % len(values)] for number in range(n)]


def why(draft: SuiteDraft) -> dict[str, str]:
    return {guess.key: guess.why for guess in draft.guesses}


def test_few_short_values_are_choices() -> None:
    draft = draft_suite(table(body=texts(), queue=cycle(QUEUES)))
    assert (draft.kind, draft.text, draft.target) == ("choice", "body", "queue")
    assert draft.choices == tuple(sorted(QUEUES))
    assert why(draft)["task.columns.target"] == "a usual name for the right answer"


def test_a_target_without_a_usual_name_is_the_only_column_with_few_values() -> None:
    draft = draft_suite(table(x1=texts(), x2=cycle(QUEUES)))
    assert (draft.text, draft.target) == ("x1", "x2")
    assert "longest texts" in why(draft)["task.columns.text"]


def test_many_values_are_generated() -> None:
    draft = draft_suite(table(question=texts(), answer=[f"answer {number}" for number in range(N)]))
    assert (draft.kind, draft.text, draft.target, draft.choices) == ("generate", "question", "answer", ())
    assert draft.longest_target == len("answer 119")


def test_nothing_but_texts_is_perplexity() -> None:
    draft = draft_suite(table(id=[str(number) for number in range(N)], passage=texts()))
    assert (draft.kind, draft.text, draft.target) == ("perplexity", "passage", "passage")


def test_what_is_said_is_not_guessed() -> None:
    columns = table(body=texts(), label=cycle(QUEUES), note=texts(9))
    draft = draft_suite(columns, text="note", target="body", kind="generate")
    assert (draft.kind, draft.text, draft.target) == ("generate", "note", "body")


def test_columns_with_few_common_values_are_slices_and_people_are_clusters() -> None:
    draft = draft_suite(
        table(
            text=texts(),
            label=cycle(QUEUES),
            language=cycle(("de", "en")),
            customer=cycle([f"c{number}" for number in range(30)]),
            rare=["yes", *["no"] * (N - 1)],
        )
    )
    assert (draft.slices, draft.cluster) == (("language",), "customer")


@pytest.mark.parametrize(("body", "varies"), [(texts(), False), (["x" * (n + 1) for n in range(N)], True)])
def test_texts_of_one_length_make_no_slices(body: list[str], varies: bool) -> None:
    assert draft_suite(table(body=body, label=cycle(QUEUES))).varies_in_length is varies


def test_several_possible_targets_are_a_question() -> None:
    with pytest.raises(DataError, match=r"which column holds the right .*--target.*'x' .*'a' .*'b' \(2 values\)"):
        draft_suite(table(x=texts(), a=cycle(QUEUES), b=cycle(("de", "en"))))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"target": "Queue"}, "no column 'Queue'; there are: 'body', 'queue'"),
        ({"target": "body", "kind": "choice"}, "needs at least 2 that repeat"),
    ],
)
def test_what_cannot_be_is_an_error(options: dict[str, str], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        draft_suite(table(body=texts(), queue=cycle(QUEUES)), **options)  # type: ignore[arg-type]


def test_a_handful_of_rows_is_no_test() -> None:
    with pytest.raises(DataError, match="expected at least 20 rows with a text and a target, got 10"):
        draft_suite(table(text=texts()[:10], label=cycle(("a", "b"), 10)))
