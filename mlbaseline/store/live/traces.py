"""Traces with assessments ─▶ raw rows of events.

MLflow's search pages by offset, which becomes slow and skips rows while others are written. So it is walked upwards in
time: each page begins where the one before ended. Spans are not fetched. Assessments cannot be searched by time: traces
whose labels may still come are read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlbaseline.errors import TrackingError
from mlbaseline.monitor.event_files import ASSESSMENT, RawBatch
from mlbaseline.monitor.holdout import HoldoutItem, Reservoir, stratum_of
from mlbaseline.monitor.problems import EventProblem, ProblemCounts
from mlbaseline.progress import preparing, progress_bar
from mlbaseline.records.decisions import StoredText
from mlbaseline.results import SCORE, SLICE
from mlbaseline.store.example_traces import EXAMPLE_ID
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX
from mlbaseline.untrusted import parse_json

if TYPE_CHECKING:
    from mlflow.entities import Assessment, TraceInfo

_PAGE = 500
"""The most that a server gives at once."""
_SCALARS = (str, int, float, bool, type(None))
_IN_PROGRESS, _ERROR = "IN_PROGRESS", "ERROR"


class TraceTag(StoredText):
    """Tags of a request's trace. `mlbaseline.slice.<name>` come beside them."""

    ARM = PREFIX + "arm"
    EXPERIMENT = PREFIX + "experiment"
    SHARE = PREFIX + "share"
    COST = PREFIX + "cost_usd"


def read_traces(
    server: Server, experiment: str, *, since: datetime, until: datetime, scores: Mapping[str, str]
) -> Iterator[RawBatch]:
    """Read the traces of an experiment in a span of time, in time order.

    Args:
        server: The tracking server.
        experiment: Name of the experiment that holds the traces.
        since: Earliest time of a request.
        until: Time before which requests are read.
        scores: Name of an assessment ─▶ score that it is.

    Yields:
        Pages of rows with the columns of events: one for each request, and one for each of its assessments.

    Raises:
        TrackingError: There is no such experiment, or the server cannot be read.
    """
    experiment_id = _experiment_id(server, experiment)
    row = 1
    title = f"Reading traces of {experiment}"
    span_s = max(0, int((until - since).total_seconds()))
    with progress_bar(span_s, "second", title, is_brief=True) as bar:
        for page in _pages(server, experiment_id, milliseconds(since), milliseconds(until)):
            yield _batch(page, row, scores)
            row += len(page)
            bar.reach((page[-1].request_time - milliseconds(since)) // 1000)


def _experiment_id(server: Server, name: str) -> str:
    with reporting(f"find the experiment {name!r}", server.uri):
        found = server.client.get_experiment_by_name(name)
    if found is None:
        raise TrackingError(
            f"{server.uri}: expected an experiment {name!r} with traces (monitor.traffic.experiment), there is none."
        )
    return str(found.experiment_id)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, as MLflow counts time."""
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def _pages(server: Server, experiment_id: str, since_ms: int, until_ms: int) -> Iterator[list[TraceInfo]]:
    """Traces in time order. Those of a page's newest millisecond come again with the next page, and are left out."""
    seen: set[str] = set()
    while True:
        page, _ = _search(server, experiment_id, since_ms, until_ms, None)
        new = [info for info in page if info.trace_id not in seen]
        if new:
            yield new
        if len(page) < _PAGE:
            return
        newest = page[-1].request_time
        if newest == since_ms:  # more than a page in one millisecond
            yield from _rest_of(server, experiment_id, newest)
            since_ms, seen = newest + 1, set()
        else:
            since_ms, seen = newest, {info.trace_id for info in page if info.request_time == newest}


def _rest_of(server: Server, experiment_id: str, at_ms: int) -> Iterator[list[TraceInfo]]:
    """Further pages of one millisecond."""
    _, token = _search(server, experiment_id, at_ms, at_ms + 1, None)
    while token:
        page, token = _search(server, experiment_id, at_ms, at_ms + 1, token)
        if page:
            yield page


def _search(
    server: Server, experiment_id: str, since_ms: int, until_ms: int, token: str | None
) -> tuple[list[TraceInfo], str | None]:
    with reporting("read traces", server.uri):
        found = server.client.search_traces(
            locations=[experiment_id],
            filter_string=f"trace.timestamp_ms >= {since_ms} AND trace.timestamp_ms < {until_ms}",
            order_by=["timestamp_ms ASC"],
            max_results=_PAGE,
            page_token=token,
            include_spans=False,
        )
    return [trace.info for trace in found], found.token


def _batch(page: list[TraceInfo], row: int, scores: Mapping[str, str]) -> RawBatch:
    problems, rows = ProblemCounts(), []
    for info in page:
        if str(info.state.value) == _IN_PROGRESS:
            continue  # it comes with a later reading
        if EXAMPLE_ID in info.tags:
            continue  # shows a row of an evaluation
        if TraceTag.ARM.value not in info.tags:
            shown = f"trace {info.trace_id} has no tag {TraceTag.ARM}"
            problems.add(EventProblem.UNTAGGED, 1, shown)
            continue
        rows.append(_request(info))
        rows += [_label(info.trace_id, one, scores[one.name]) for one in info.assessments if _counts(one, scores)]
    return RawBatch(pd.DataFrame(rows, dtype=object), row, problems)


def _request(info: TraceInfo) -> dict[str, Any]:
    tags, metadata = info.tags, info.trace_metadata
    usage, cost = _object(metadata.get("mlflow.trace.tokenUsage")), _object(metadata.get("mlflow.trace.cost"))
    return {
        "request_id": info.trace_id,
        "time": _iso(info.request_time),
        "unit": metadata.get("mlflow.trace.user") or metadata.get("mlflow.trace.session"),
        "experiment": tags.get(TraceTag.EXPERIMENT.value),
        "arm": tags[TraceTag.ARM.value],
        "share": tags.get(TraceTag.SHARE.value),
        "error": str(info.state.value) == _ERROR,
        "latency_s": None if info.execution_duration is None else info.execution_duration / 1000,
        "cost_usd": tags.get(TraceTag.COST.value, cost.get("total_cost")),
        "tokens_in": usage.get("input_tokens"),
        "tokens_out": usage.get("output_tokens"),
        **_slices(info),
    }


def _slices(info: TraceInfo) -> dict[str, str]:
    """Return the trace's slices, as columns of an event."""
    return {key.removeprefix(PREFIX): text for key, text in info.tags.items() if key.startswith(PREFIX + SLICE)}


def _counts(one: Assessment, scores: Mapping[str, str]) -> bool:
    """Whether it is a label: feedback or an expectation that has not been overridden, of a score that is asked for."""
    return one.name in scores and one.valid is not False and _value(one) is not None


def _value(one: Assessment) -> Any:
    held = one.feedback or one.expectation
    return None if held is None else held.value


def _label(trace_id: str, one: Assessment, score: str) -> dict[str, Any]:
    known_ms = one.last_update_time_ms or one.create_time_ms
    # One that was edited in place is another label, and counts from then on.
    return {
        "request_id": trace_id,
        f"{SCORE}{score}": _value(one),
        f"{ASSESSMENT}{score}": f"{one.assessment_id}@{known_ms}",
        "label_time": None if known_ms is None else _iso(known_ms),
    }


def _iso(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)).isoformat()


def _object(text: str | None) -> dict[str, Any]:
    """Read the JSON object that a trace's metadata holds; empty where it holds none."""
    try:
        content = parse_json(text) if text else None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def trace_items(
    server: Server,
    experiment: str,
    *,
    since: datetime,
    until: datetime,
    target: str,
    watched: tuple[str, ...],
    size: int,
) -> list[HoldoutItem]:
    """Sample items of a span of time from traces that have an expectation of the right answer.

    Args:
        server: The tracking server.
        experiment: Name of the experiment that holds the traces.
        since: Earliest time of a request.
        until: Time before which requests are read.
        target: Name of the expectation.
        watched: Slices in proportion to whose values items are drawn.
        size: Largest number of items.

    Raises:
        TrackingError: There is no such experiment, or the server cannot be read.
    """
    reservoir: Reservoir[tuple[str, str, dict[str, str]]] = Reservoir(size)
    experiment_id = _experiment_id(server, experiment)
    for page in _pages(server, experiment_id, milliseconds(since), milliseconds(until)):
        for info in page:
            held = [
                one for one in info.assessments if one.name == target and one.expectation and one.valid is not False
            ]
            if held:
                answer = max(held, key=lambda one: one.last_update_time_ms or 0)
                slices = {name.removeprefix(SLICE): value for name, value in _slices(info).items()}
                found = (str(info.trace_id), str(_value(answer)), slices)
                reservoir.add(stratum_of(slices, watched), str(info.trace_id), found)
    items = []
    for trace_id, answer_text, slices in preparing(reservoir.sample(), "Fetching items"):
        with reporting(f"read the trace {trace_id}", server.uri):
            trace = server.client.get_trace(trace_id)
        root = next((span for span in trace.data.spans if span.parent_id is None), None)
        if root is not None and isinstance(root.inputs, Mapping):
            inputs = {str(name): value for name, value in root.inputs.items() if isinstance(value, _SCALARS)}
            items.append(HoldoutItem(trace_id, inputs, answer_text, slices))
    return items
