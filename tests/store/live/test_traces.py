"""Traces with assessments on a real tracking server, as rows of events."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlbaseline.errors import TrackingError
from mlbaseline.monitor import check_rows, open_ledger
from mlbaseline.monitor.holdout import HoldoutItem
from mlbaseline.monitor.ingesting import SourceReport, ingest_batches
from mlbaseline.store import Server, reach
from mlbaseline.store.live import read_traces, trace_items
from mlbaseline.store.live.traces import milliseconds

START = datetime(2026, 3, 1, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def server(server: str) -> Server:
    return reach(server)


class Traces:
    """An experiment with traces."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self.experiment_id = server.client.create_experiment(name)

    def add(self, name: str, *, at: timedelta = timedelta(), state: str = "OK", **more: Any) -> str:
        from mlflow.entities import TraceInfo, TraceLocation, TraceState

        tags = {"mlbaseline.arm": "champion", **more.pop("tags", {})}
        info = TraceInfo(
            trace_id=f"tr-{self.experiment_id}-{name}",
            trace_location=TraceLocation.from_experiment_id(self.experiment_id),
            request_time=milliseconds(START + at),
            state=TraceState(state),
            execution_duration=more.pop("latency_ms", 250),
            trace_metadata=more.pop("metadata", {}),
            tags={key: value for key, value in tags.items() if value is not None},
        )
        self.server.client._tracing_client.start_trace(info)
        return str(info.trace_id)

    def assess(self, trace_id: str, value: object, name: str = "accuracy") -> str:
        import mlflow

        return str(mlflow.log_feedback(trace_id=trace_id, name=name, value=value).assessment_id)

    def rows(self, since: datetime = START, until: datetime = START + timedelta(days=365), **scores: str) -> list[Any]:
        named = scores or {"accuracy": "accuracy"}
        batches = read_traces(self.server, self.name, since=since, until=until, scores=named)
        return [row for batch in batches for row in batch.frame.to_dict("records")]

    def ingest(self, path: Path) -> SourceReport:
        batches = read_traces(
            self.server, self.name, since=START, until=START + timedelta(days=365), scores={"accuracy": "accuracy"}
        )
        return ingest_batches(open_ledger(path, "tickets"), batches, source=self.name, slices=[])


pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_a_trace_gives_an_event_and_its_labels(server: Server, tmp_path: Path) -> None:
    traces = Traces(server, "full")
    trace_id = traces.add(
        "a",
        state="ERROR",
        latency_ms=1500,
        tags={
            "mlbaseline.arm": "candidate",
            "mlbaseline.experiment": "spring",
            "mlbaseline.share": "0.05",
            "mlbaseline.slice.topic": "billing",
        },
        metadata={
            "mlflow.trace.user": "u1",
            "mlflow.trace.tokenUsage": json.dumps({"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}),
            "mlflow.trace.cost": json.dumps({"total_cost": 0.002}),
        },
    )
    traces.assess(trace_id, True)
    traces.assess(trace_id, "no comment", name="remark")
    raw, label = traces.rows()
    expected = {
        "request_id": trace_id,
        "unit": "u1",
        "experiment": "spring",
        "arm": "candidate",
        "share": "0.05",
        "error": True,
        "latency_s": 1.5,
        "cost_usd": 0.002,
        "tokens_in": 7,
        "tokens_out": 3,
        "slice.topic": "billing",
    }
    assert {name: raw[name] for name in expected} == expected
    assert label["score.accuracy"] is True
    report = traces.ingest(tmp_path / "ledger.db")
    assert (report.requests, report.labels, report.problems.counts) == (1, 1, {})


def test_what_comes_later_is_added_and_what_was_there_counts_once(server: Server, tmp_path: Path) -> None:
    traces, path = Traces(server, "later"), tmp_path / "ledger.db"
    first = traces.add("a")
    assert traces.ingest(path).requests == 1
    traces.assess(first, 1.0)
    traces.add("b", at=timedelta(hours=1))
    report = traces.ingest(path)
    assert (report.requests, report.labels, report.problems.counts) == (1, 1, {"duplicate": 1})
    assert open_ledger(path, "tickets").read().score("accuracy").score.tolist()[0] == 1.0


def test_a_corrected_assessment_takes_the_place_of_the_first(server: Server, tmp_path: Path) -> None:
    import mlflow
    from mlflow.entities import Feedback

    traces, path = Traces(server, "corrected"), tmp_path / "ledger.db"
    trace_id = traces.add("a")
    assessment_id = traces.assess(trace_id, 1.0)
    traces.ingest(path)
    mlflow.override_feedback(trace_id=trace_id, assessment_id=assessment_id, value=0.0)
    assert traces.ingest(path).labels == 1
    assert open_ledger(path, "tickets").read().score("accuracy").score.tolist() == [0.0]
    edited = traces.assess(traces.add("b", at=timedelta(minutes=1)), 1.0)
    traces.ingest(path)
    mlflow.update_assessment(
        trace_id=f"tr-{traces.experiment_id}-b", assessment_id=edited, assessment=Feedback(name="accuracy", value=0.0)
    )
    traces.ingest(path)
    assert open_ledger(path, "tickets").read().score("accuracy").score.tolist() == [0.0, 0.0]


def test_traces_without_tags_are_counted_and_open_ones_wait(server: Server, tmp_path: Path) -> None:
    traces = Traces(server, "untagged")
    traces.add("a", tags={"mlbaseline.arm": None})
    traces.add("b", state="IN_PROGRESS")
    traces.add("c")
    report = traces.ingest(tmp_path / "ledger.db")
    assert (report.requests, report.problems.counts) == (1, {"untagged": 1})
    assert f"trace tr-{traces.experiment_id}-a has no tag mlbaseline.arm" in report.problems.examples["untagged"]


def test_pages_go_upwards_in_time_and_lose_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """More traces in one millisecond than a page has, and pages that end inside a millisecond."""
    monkeypatch.setattr("mlbaseline.store.live.traces._PAGE", 4)
    traces = Traces(server, "pages")
    times = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 4]
    for number, at_ms in enumerate(times):
        traces.add(f"{number:02}", at=timedelta(milliseconds=at_ms))
    found = [row["request_id"].rpartition("-")[2] for row in traces.rows()]
    assert sorted(found) == [f"{number:02}" for number in range(len(times))]
    assert [times[int(name)] for name in found] == times
    some = traces.rows(since=START + timedelta(milliseconds=2), until=START + timedelta(milliseconds=4))
    assert len(some) == 4


def test_an_assessment_may_have_another_name_than_its_score(server: Server) -> None:
    traces = Traces(server, "renamed")
    traces.assess(traces.add("a"), 0.5, name="helpful")
    _, label = traces.rows(helpful="accuracy")
    assert label["score.accuracy"] == 0.5
    checked = check_rows(pd.DataFrame(traces.rows(helpful="accuracy"), dtype=object), source="x")
    assert checked.labels["score"].tolist() == [0.5]


def answer(experiment: str, inputs: object, *, topic: str = "food") -> str:
    """Leave a trace as an application does, which is on its way when this returns. Gives its id."""
    import mlflow

    mlflow.set_experiment(experiment)
    with mlflow.start_span("answer") as span:
        span.set_inputs(inputs)
        mlflow.update_current_trace(tags={"mlbaseline.arm": "champion", "mlbaseline.slice.topic": topic})
        with mlflow.start_span("model") as inner:
            inner.set_inputs({"review": "what the model was shown"})
    return str(span.trace_id)


def label(right: dict[str, str]) -> None:
    """Say what is right: trace ─▶ label. Waits for the traces to arrive, which takes seconds: once for many."""
    import mlflow

    mlflow.flush_trace_async_logging()
    for trace_id, value in right.items():
        mlflow.log_expectation(trace_id=trace_id, name="label", value=value)


def items_of(server: Server, experiment: str, size: int = 10) -> dict[str, HoldoutItem]:
    hour = timedelta(hours=1)
    now = datetime.now(timezone.utc)
    found = trace_items(
        server, experiment, since=now - hour, until=now + hour, target="label", watched=("topic",), size=size
    )
    return {item.request_id: item for item in found}


def test_items_are_what_was_asked_with_the_right_answer(server: Server) -> None:
    import mlflow

    answered = answer("items", {"review": "soup", "stars": 3, "history": ["a", "b"]})
    answer("items", {"review": "nobody knows"})
    without_columns = answer("items", "no columns")
    corrected = answer("items", {"review": "bread"}, topic="bakery")
    label(dict.fromkeys((answered, without_columns, corrected), "good"))
    mlflow.log_expectation(trace_id=corrected, name="label", value="bad")
    mlflow.log_feedback(trace_id=corrected, name="label", value="good")  # an opinion is no right answer
    assert items_of(server, "items") == {
        answered: HoldoutItem(answered, {"review": "soup", "stars": 3}, "good", {"topic": "food"}),
        corrected: HoldoutItem(corrected, {"review": "bread"}, "bad", {"topic": "bakery"}),
    }


def test_a_sample_of_items_has_the_slices_in_proportion(server: Server) -> None:
    asked = [answer("many", {"review": f"{n}"}, topic="food" if n % 4 else "bakery") for n in range(12)]
    label(dict.fromkeys(asked, "good"))
    found = items_of(server, "many", size=4)
    assert len(found) == 4
    assert set(found) < set(asked)
    assert sorted(item.slices["topic"] for item in found.values()) == ["bakery", "food", "food", "food"]
    assert items_of(server, "many", size=4) == found


def test_an_experiment_that_is_not_there(server: Server) -> None:
    with pytest.raises(TrackingError, match="expected an experiment 'nowhere' with traces"):
        list(read_traces(server, "nowhere", since=START, until=START, scores={}))
