"""Read what MLflow's own evaluations left behind.

That is a table of results (`mlflow.evaluate`), or traces with assessments (`mlflow.genai.evaluate`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportedAnswer, ImportedResults
from mlbaseline.records import Scalar
from mlbaseline.store.server.artifacts import check_location, fetch_artifact
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.tasks.prompting import value_text
from mlbaseline.untrusted import excerpt, expecting
from mlbaseline.values import as_number, is_missing

if TYPE_CHECKING:
    from mlflow.entities import Trace

TABLE = "eval_results_table.json"
_SCORE = "/score"
_SHOWN = 120
_SOURCE_RUN = "mlflow.assessment.sourceRunId"
_MADE_OF_DATA = "root_span"
"""Name of the trace, of one span, that mlflow 3.17 makes of outputs in the data. Nothing was timed there."""
_ANSWER_COLUMNS = ("predictions", "prediction", "outputs", "output")


def read_mlflow_results(server: Server, run_id: str) -> ImportedResults:
    """Read the table of results of a run or, where it has none, the traces that it left.

    Raises TrackingError for a run that is not there, DataError for one that holds neither.
    """
    with reporting(f"read the run {run_id}", server.uri):
        run = server.client.get_run(run_id)
        check_location(server, run.info.artifact_uri)
        paths = [item.path for item in server.client.list_artifacts(run_id)]
    where = f"run {run_id}"
    known: dict[str, Scalar] = {"model.mlflow_run_id": run_id}
    if TABLE in paths:
        answers = list(_rows(f"{where}, {TABLE}", _table(server, run_id)))
    else:
        answers = [_traced(run_id, trace) for trace in _traces(server, run.info.experiment_id, run_id)]
    if not answers:
        raise DataError(
            f"{where}: has neither {TABLE}, which mlflow.evaluate leaves, nor traces, "
            "which mlflow.genai.evaluate leaves"
        )
    return ImportedResults(answers, known)


def _table(server: Server, run_id: str) -> Any:
    with TemporaryDirectory() as folder, reporting(f"fetch {TABLE} of the run {run_id}", server.uri):
        path = fetch_artifact(server, run_id, TABLE, Path(folder))
        return json.loads(path.read_text(encoding="utf-8"))


def _rows(where: str, table: Any) -> Iterator[ImportedAnswer]:
    if not isinstance(table, dict) or not {"columns", "data"} <= table.keys():
        raise DataError(f"{where}: expected an object with `columns` and `data`, as mlflow.evaluate writes it")
    columns, data = table["columns"], table["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns) or not columns:
        raise DataError(f"{where}: expected `columns` to be a list of names, got {excerpt(repr(columns), _SHOWN)}")
    if len(set(columns)) < len(columns):
        raise DataError(f"{where}: `columns` names one more than once: {', '.join(columns)}")
    if not isinstance(data, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise DataError(f"{where}: expected `data` to be a list of rows, each with {len(columns)} cells")
    answer = next((name for name in _ANSWER_COLUMNS if name in columns), None)
    scored = {name.removesuffix(_SCORE): name for name in columns if name.endswith(_SCORE)}
    if answer is None and not scored:
        raise DataError(
            f"{where}: has neither a column of answers ({', '.join(_ANSWER_COLUMNS)}) nor of scores (*{_SCORE}); it "
            f"has: {', '.join(columns)}"
        )
    for number, cells in enumerate(data, start=1):
        row = dict(zip(columns, cells, strict=True))
        text = None if answer is None or row[answer] is None else value_text(row[answer])
        with expecting("numbers in the columns latency and token_count", f"{where}, row {number}"):
            measured = {"latency_s": _number(row.get("latency")), "tokens_out": _number(row.get("token_count"))}
        # A table of answers has one for each row; without such a column, the scores alone are what is there.
        error = "has no answer" if answer is not None and text is None else None
        scores = {name: row[column] for name, column in scored.items()}
        yield ImportedAnswer(
            f"{where}, row {number}", None, row, text=text, scores=scores, error=error, columns=measured
        )


def _number(value: Any) -> float | None:
    return None if is_missing(value) else as_number(value)


def _traces(server: Server, experiment_id: str, run_id: str) -> Iterator[Trace]:
    token = None
    while True:
        with reporting(f"read the traces of the run {run_id}", server.uri):
            page = server.client.search_traces(
                locations=[experiment_id], run_id=run_id, max_results=500, page_token=token
            )
        yield from page
        token = page.token
        if not token:
            return


def _traced(run_id: str, trace: Trace) -> ImportedAnswer:
    info = trace.info
    root = next((span for span in trace.data.spans if span.parent_id is None), None)
    inputs = root.inputs if root is not None else None
    failed = str(info.state.value) == "ERROR"
    usage = info.token_usage or {}
    outputs = root.outputs if root is not None else None
    return ImportedAnswer(
        f"run {run_id}, trace {info.trace_id}",
        info.trace_id,
        {**info.tags, **(inputs if isinstance(inputs, Mapping) else {"inputs": inputs})},
        shown=inputs if isinstance(inputs, str) else None,
        text=None if outputs is None else _text(outputs),
        scores=_assessments(trace, run_id),
        error=_failure(trace) if failed else ("has no answer" if outputs is None else None),
        columns={
            "latency_s": _latency_s(trace),
            "tokens_in": usage.get("input_tokens"),
            "tokens_out": usage.get("output_tokens"),
        },
    )


def _failure(trace: Trace) -> str:
    statuses = [span.status.description for span in trace.data.spans if span.status.description]
    return statuses[0] if statuses else "the trace failed without a message"


def _text(outputs: Any) -> str:
    """Take a text as it is, the message of a chat completion, or else its JSON."""
    match outputs:
        case {"choices": [{"message": {"content": str(content)}}, *_]} | {"content": str(content)}:
            return content
    return value_text(outputs)


def _latency_s(trace: Trace) -> float | None:
    duration_ms, spans = trace.info.execution_duration, trace.data.spans
    if duration_ms is None or [span.name for span in spans] == [_MADE_OF_DATA]:
        return None
    return float(duration_ms) / 1000


def _assessments(trace: Trace, run_id: str) -> dict[str, Any]:
    """Feedback by its name, of several with one name the latest that still holds. None where a judge failed.

    Another run may have scored the same trace: its feedback is not of this run. People's feedback is of no run.
    """
    held = [
        one
        for one in trace.info.assessments
        if one.feedback is not None
        and one.valid is not False
        and (one.metadata or {}).get(_SOURCE_RUN) in (None, run_id)
    ]
    return {one.name: one.feedback.value for one in sorted(held, key=lambda one: one.create_time_ms or 0)}
