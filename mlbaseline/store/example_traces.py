"""Rows of an evaluation as traces with assessments, for MLflow's pages *Evaluation runs* and *Datasets*.

They are for looking at. What decides is read from `results/examples.parquet`, and never from a trace.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbaseline.progress import progress_bar
from mlbaseline.results import SLICE
from mlbaseline.store.preregistration import TASK_DIGEST
from mlbaseline.store.runs import EvaluationRun
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.patience import is_remote
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX, run_tags

if TYPE_CHECKING:
    from mlflow.entities import Assessment, TraceInfo

EXAMPLE_ID = PREFIX + "example_id"
"""Tag of a trace that shows a row of an evaluation. Live traffic has none."""
TRACES = PREFIX + "trace"
"""Tag of an evaluation: how many of its rows are traces."""
EXPECTED = "expected_response"
"""MLflow's name of the right answer."""
_PREVIEW = 1000
_PAGE = 500
_CONNECTIONS = 8


@dataclass(frozen=True)
class ShownExample:
    """An example as a page shows it. inputs: fields of the prompt. target: None where the task has none."""

    id: str
    inputs: Mapping[str, str]
    target: str | None


@dataclass(frozen=True)
class ShownAnswer:
    """An answer to an example. scores: of the metrics of single examples; 0/1 ones as truth values."""

    example: ShownExample
    prediction: str | None
    error: str | None
    scores: Mapping[str, float | bool]
    slices: Mapping[str, str]
    latency_s: float | None


def log_answers(tracker: Tracker, run: EvaluationRun, answers: Sequence[ShownAnswer]) -> None:
    """Log answers as traces of their evaluation; those that an interrupted call has logged are left as they are.

    Args:
        tracker: The tracking server.
        run: The evaluation that gave them.
        answers: Any part of its rows.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    with reporting(f"log traces of the run {run.run_id}", tracker.uri):
        there = set(_trace_ids(tracker, run.run_id))
        infos = [_trace(tracker.experiment_id, run, answer) for answer in answers]
        missing = [info for info in infos if info.trace_id not in there]
        with (
            progress_bar(len(missing), "trace", f"Traces of {run.baseline}", is_brief=True) as bar,
            # A file of SQLite takes one writer at a time.
            ThreadPoolExecutor(_CONNECTIONS if is_remote(tracker.uri) else 1) as pool,
        ):
            for _ in pool.map(tracker.client._tracing_client.start_trace, missing):
                bar.update()
        tags = {TRACES: str(len(answers)), "mlflow.runType": "genai_evaluate"}
        tracker.client.log_batch(run.run_id, tags=run_tags(tags))


def log_dataset(tracker: Tracker, name: str, digest: str, examples: Iterable[ShownExample]) -> None:
    """Put examples into MLflow's evaluation dataset of their task, which is made where there is none.

    Args:
        tracker: The tracking server.
        name: Of the dataset.
        digest: SHA-256 of the data. Other data are another dataset.
        examples: Those that traces were logged of.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    with reporting(f"write the evaluation dataset {name!r}", tracker.uri):
        client, experiment = tracker.client, tracker.experiment_id
        datasets = client.search_datasets(experiment_ids=[experiment])
        found = next((each for each in datasets if (each.tags or {}).get(TASK_DIGEST) == digest), None)
        dataset = found or client.create_dataset(name, experiment, {TASK_DIGEST: digest})
        # Records are told apart by their inputs: the same ones again change nothing.
        dataset.merge_records(
            [
                {
                    "inputs": dict(each.inputs),
                    "expectations": {} if each.target is None else {EXPECTED: each.target},
                    "tags": {EXAMPLE_ID: each.id},
                }
                for each in examples
            ]
        )


def _trace_ids(tracker: Tracker, run_id: str) -> Iterator[str]:
    token = None
    while True:
        page = tracker.client.search_traces(
            locations=[tracker.experiment_id],
            filter_string=f"request_metadata.`mlflow.sourceRun` = '{run_id}'",
            max_results=_PAGE,
            page_token=token,
            include_spans=False,
        )
        yield from (trace.info.trace_id for trace in page)
        token = page.token
        if not token:
            return


def _trace(experiment_id: str, run: EvaluationRun, answer: ShownAnswer) -> TraceInfo:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    example = answer.example
    # The same row is the same trace, whenever it is logged.
    trace_id = "tr-" + hashlib.sha256(f"{run.run_id}/{example.id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    inputs = json.dumps(dict(example.inputs), ensure_ascii=False)
    output = json.dumps(answer.error or answer.prediction, ensure_ascii=False)
    return TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=run.start_time_ms,
        state=TraceState.ERROR if answer.error else TraceState.OK,
        execution_duration=None if answer.latency_s is None else round(answer.latency_s * 1000),
        request_preview=inputs[:_PREVIEW],
        response_preview=str(answer.error or answer.prediction or "")[:_PREVIEW],
        trace_metadata={
            "mlflow.trace_schema.version": "3",
            "mlflow.sourceRun": run.run_id,
            "mlflow.traceInputs": inputs,
            "mlflow.traceOutputs": output,
        },
        tags={
            "mlflow.traceName": run.baseline if run.seed is None else f"{run.baseline} · seed {run.seed}",
            EXAMPLE_ID: example.id,
            **{PREFIX + SLICE + name: value for name, value in answer.slices.items()},
        },
        assessments=list(_assessments(trace_id, run.run_id, answer)),
    )


def _assessments(trace_id: str, run_id: str, answer: ShownAnswer) -> Iterator[Assessment]:
    from mlflow.entities import AssessmentSource, Expectation, Feedback

    source = AssessmentSource(source_type="CODE", source_id="mlbaseline")
    common = {"trace_id": trace_id, "source": source, "metadata": {"mlflow.assessment.sourceRunId": run_id}}
    if answer.example.target is not None:
        yield Expectation(name=EXPECTED, value=answer.example.target, **common)
    for name, value in answer.scores.items():
        yield Feedback(name=name, value=value, **common)
