"""Read what people answered in a review queue of MLflow: the labels of annotators."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportedAnswer, ImportedResults
from mlbaseline.store.example_traces import EXAMPLE_ID
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.values import as_text

if TYPE_CHECKING:
    from mlflow.entities import Assessment, Trace
    from mlflow.genai.review_queues import ReviewQueueItem

log = logging.getLogger("mlbaseline")
_HUMAN = "HUMAN"
_PAGE = 500


def read_reviews(tracker: Tracker, queue: str, question: str | None) -> ImportedResults:
    """Read the answers of people to one question about the traces of a review queue.

    Args:
        tracker: The server, and the experiment that has the queue.
        queue: Name of the queue.
        question: Name of the question; None where people answered only one.

    Returns:
        One answer for each trace and person, with the columns `annotator` and `label`. A trace that mlbaseline logged
        has the id of its example, any other its own. Of several answers of a person the latest that holds is taken.

    Raises:
        DataError: Nobody has answered, or the question is unknown or ambiguous.
        TrackingError: There is no such queue in the experiment, or the server cannot be reached.
    """
    where = f"review queue {queue!r}"
    with reporting(f"read the {where} of {tracker.experiment!r}", tracker.uri):
        traces = [tracker.client.get_trace(item.item_id) for item in _items(tracker, queue)]
    answers = [(trace, answer) for trace in traces for answer in _of_people(trace)]
    asked = sorted({answer.name for _, answer in answers})
    if not asked:
        raise DataError(f"{where}: no person has answered a question about its {len(traces)} traces")
    if question is None and len(asked) > 1:
        raise DataError(f"{where}: people answered several questions; name one with --score: {', '.join(asked)}")
    if question is not None and question not in asked:
        raise DataError(f"{where}: nobody answered the question {question!r}; people answered: {', '.join(asked)}")
    name = question or asked[0]
    found = [one for trace in traces for one in _labels(where, trace, _by_person(trace, name))]
    labelled = {answer.id for answer in found}
    log.info("%s: %d of %d traces have an answer to %r", where, len(labelled), len(traces), name)
    return ImportedResults(found, {})


def _items(tracker: Tracker, queue: str) -> Iterator[ReviewQueueItem]:
    from mlflow.genai import review_queues

    found, token = review_queues.get_review_queue(name=queue, experiment_id=tracker.experiment_id), None
    while True:
        page = review_queues.list_review_queue_items(found.queue_id, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _of_people(trace: Trace) -> Sequence[Assessment]:
    """Return the answers of people that still hold, the latest last."""
    held = [
        one
        for one in trace.info.assessments
        if one.source.source_type == _HUMAN and one.valid is not False and _value(one) is not None
    ]
    return sorted(held, key=lambda one: one.create_time_ms or 0)


def _by_person(trace: Trace, question: str) -> Mapping[str, Assessment]:
    return {str(one.source.source_id): one for one in _of_people(trace) if one.name == question}


def _labels(where: str, trace: Trace, by_person: Mapping[str, Assessment]) -> Iterator[ImportedAnswer]:
    root = next((span for span in trace.data.spans if span.parent_id is None), None)
    inputs = root.inputs if root is not None else None
    info = trace.info
    for person, answer in by_person.items():
        yield ImportedAnswer(
            f"{where}, trace {info.trace_id}",
            info.tags.get(EXAMPLE_ID, info.trace_id),
            {**info.tags, **(inputs if isinstance(inputs, Mapping) else {"inputs": inputs})},
            shown=inputs if isinstance(inputs, str) else None,
            columns={"annotator": person, "label": as_text(_value(answer))},
        )


def _value(answer: Assessment) -> object:
    """Return the value of a feedback or of an expectation."""
    return answer.feedback.value if answer.feedback is not None else getattr(answer.expectation, "value", None)
