"""Raw rows of events: what is taken, and what is counted and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.monitor import CheckedRows, EventProblem, check_rows
from tests.support.comparisons.hostile import searched
from tests.support.traffic import NOW, START, event, label

HOUR = timedelta(hours=1)


def check(*rows: dict[str, object]) -> CheckedRows:
    names = list(dict.fromkeys(name for row in rows for name in row))
    # As the reader of JSON Lines makes them: pandas 2.2 refuses whole numbers beyond a float in a list of rows.
    columns = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names}
    return check_rows(pd.DataFrame(columns), source="events.jsonl", now=NOW)


def test_a_full_event_gives_a_request_and_a_label() -> None:
    checked = check(
        event(
            "a",
            arm="candidate",
            share=0.05,
            unit="u1",
            error=True,
            latency_s=0.25,
            tokens_in=12,
            **{"slice.topic": "billing", "score.accuracy": 1, "label_time": (START + HOUR).isoformat()},
        )
    )
    request, label_row = checked.requests.iloc[0], checked.labels.iloc[0]
    assert request[["arm", "share", "unit", "error", "latency_s"]].tolist() == ["candidate", 0.05, "u1", True, 0.25]
    assert np.isnan(request["cost_usd"])
    assert request["slices"] == '{"topic":"billing"}'
    assert request["time_us"] == START.timestamp() * 1_000_000
    assert label_row["label_us"] - request["time_us"] == 3_600_000_000
    assert label_row[["score_name", "score"]].tolist() == ["accuracy", 1.0]
    assert checked.problems.counts == {}


@pytest.mark.parametrize(
    ("fields", "problem", "message"),
    [
        ({"request_id": None}, EventProblem.INCOMPLETE, "row 2: request_id is missing, expected a text"),
        ({"request_id": "x" * 201}, EventProblem.INCOMPLETE, "row 2: request_id is 'xxx"),
        ({"time": None}, EventProblem.INCOMPLETE, "row 2: time is missing, expected an ISO 8601 time"),
        ({"time": "yesterday"}, EventProblem.INCOMPLETE, "row 2: time is 'yesterday'"),
        ({"time": 1_772_323_200}, EventProblem.INCOMPLETE, "row 2: time is 1772323200"),
        ({"time": "2027-01-01T00:00:00Z"}, EventProblem.IN_THE_FUTURE, "row 2: time is '2027-01-01"),
        ({"arm": None}, EventProblem.INCOMPLETE, "row 2: arm is missing, expected `champion` or `candidate`"),
        ({"arm": "B"}, EventProblem.UNKNOWN_ARM, "row 2: arm is 'B', expected `champion` or `candidate`"),
        ({"share": 1.2}, EventProblem.BAD_SHARE, "row 2: share is 1.2, expected a number from 0 to 1"),
        ({"share": "half"}, EventProblem.BAD_SHARE, "row 2: share is 'half'"),
        ({"error": "timeout"}, EventProblem.INCOMPLETE, "row 2: error is 'timeout', expected true or false"),
    ],
)
def test_a_row_that_cannot_count_is_left_out_and_counted(
    fields: dict[str, object], problem: EventProblem, message: str
) -> None:
    checked = check(event("good"), {**event("bad"), **fields})
    assert checked.requests["request_id"].tolist() == ["good"]
    assert checked.problems.counts == {str(problem): 1}
    assert checked.problems.examples[str(problem)].startswith(f"events.jsonl: {message}")


@pytest.mark.parametrize("value", [-1, "fast", float("inf"), True, [1], 10**400])
def test_a_bad_measurement_is_left_out_alone(value: object) -> None:
    checked = check(event("a", latency_s=0.5), event("b", latency_s=value))
    np.testing.assert_equal(checked.requests["latency_s"].to_numpy(dtype=float), [0.5, np.nan])
    assert checked.problems.counts == {"bad_measurement": 1}


@pytest.mark.parametrize("score", [1.01, -0.1, "good", float("inf"), {"value": 1}])
def test_a_score_outside_its_range_is_left_out_alone(score: object) -> None:
    checked = check(event("a", **{"score.accuracy": score}), label("b", 0.5, at=HOUR))
    assert checked.requests["request_id"].tolist() == ["a"]
    assert checked.labels["request_id"].tolist() == ["b"]
    assert checked.problems.counts == {"bad_score": 1}


@pytest.mark.parametrize(("score", "number"), [(True, 1.0), ("false", 0.0), ("0.5", 0.5), (1, 1.0), (np.bool_(1), 1.0)])
def test_scores_may_be_flags_numbers_and_texts(score: object, number: float) -> None:
    assert check(label("a", score)).labels["score"].tolist() == [number]


def test_clock_skew_of_labels_is_counted() -> None:
    early = event("a", at=HOUR, **{"score.accuracy": 1, "label_time": START.isoformat()})
    ahead = event("b", **{"score.accuracy": 1, "label_time": "2027-06-01T00:00:00Z"})
    checked = check(early, ahead)
    assert checked.labels["request_id"].tolist() == ["a"]
    assert checked.problems.counts == {"in_the_future": 1, "label_before_request": 1}


def test_a_row_without_anything_to_add_is_incomplete() -> None:
    checked = check({"request_id": "a"}, {"request_id": "b", "slice.topic": "x"})
    assert (len(checked.requests), len(checked.labels)) == (0, 0)
    assert checked.problems.counts == {"incomplete": 2}


def test_typed_and_textual_columns_mean_the_same() -> None:
    typed = pd.DataFrame(
        {
            "request_id": ["a", "b"],
            "time": pd.to_datetime(["2026-03-01T10:00:00.5Z", "2026-03-02T00:00:00+02:00"], utc=True, format="ISO8601"),
            "arm": pd.Categorical(["champion", "candidate"]),
            "share": [0.1, 0.2],
            "error": [True, False],
            "latency_s": np.array([1.5, 2], dtype=np.float32),
            "tokens_in": [3, 4],
            "score.accuracy": [1.0, np.nan],
        }
    )
    textual = typed.astype(object).map(lambda value: None if pd.isna(value) else str(value))
    first, second = (check_rows(frame, source="x", now=NOW) for frame in (typed, textual))
    assert first.problems.counts == second.problems.counts == {}
    pd.testing.assert_frame_equal(first.requests, second.requests, check_dtype=False)
    pd.testing.assert_frame_equal(first.labels, second.labels, check_dtype=False)


def test_slice_values_are_cleaned_and_equal_combinations_share_one_text() -> None:
    rows = [
        event(name, **{"slice.topic": topic}) for name, topic in (("a", "x\x1b[31m"), ("b", None), ("c", "x\x1b[31m"))
    ]
    checked = check(*rows)
    assert checked.requests["slices"].tolist() == ['{"topic":"x�[31m"}', "{}", '{"topic":"x�[31m"}']


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.datetimes(),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
    st.sampled_from(["champion", "candidate", "2026-03-01T00:00:00Z", "nan", "1e999", "-0", "\ud800", "0x10", "1_0"]),
)
NAMES = ("request_id", "time", "arm", "share", "error", "unit", "latency_s", "slice.x", "score.accuracy", "label_time")


ROW = st.builds(
    lambda usual, odd: {**usual, **odd},
    st.sampled_from([{}, event("a"), event("b", share=0.5, latency_s=1), label("a", 1)]),
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, ODD)),
)


@pytest.mark.slow
@searched(80)
@given(rows=st.lists(ROW, max_size=6))
def test_whatever_comes_is_valid_or_counted(rows: list[dict[str, Any]]) -> None:
    checked = check_rows(pd.DataFrame(rows, columns=list(NAMES), dtype=object), source="odd", now=NOW)
    requests, labels = checked.requests, checked.labels
    assert set(requests["arm"]) <= {"champion", "candidate"}
    assert (requests["time_us"] > 0).all()
    assert requests["share"].dropna().between(0, 1).all()
    assert labels["score"].between(0, 1).all() and len(labels) <= len(rows)
    assert all(
        isinstance(name, str) and 0 < len(name) <= 200 for name in (*requests["request_id"], *labels["request_id"])
    )
    lost = len(rows) - len(requests) - len(labels)
    assert lost <= sum(checked.problems.counts.values())
