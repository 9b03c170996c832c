"""What people answered in a review queue of MLflow, as the labels of a human rung."""

from __future__ import annotations

import mlflow
import pytest
from mlflow.entities import AssessmentSource
from mlflow.genai import label_schemas, review_queues

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.records import Example
from mlbaseline.store import connect
from tests.support.ladders.cheap_ladder import CheapLadder

QUEUE, N = "round one", 6


def answer(trace_id: str, person: str, value: str, question: str = "sentiment") -> None:
    mlflow.log_feedback(
        trace_id=trace_id, name=question, value=value, source=AssessmentSource(source_type="HUMAN", source_id=person)
    )


@pytest.fixture
def reviewed(cheap_ladder: CheapLadder) -> tuple[Example, ...]:
    """A queue of six traces: ann labels all of them right, ben two, and one of these wrong. The examples are given."""
    cheap_ladder.write("people: {kind: human, labels: labels.csv}")
    tracker, examples = connect(cheap_ladder.uri, "reviews"), cheap_ladder.test_data().examples[:N]
    mlflow.set_experiment(experiment_id=tracker.experiment_id)
    options = label_schemas.InputCategorical(options=["good", "bad"])
    schema = label_schemas.create_label_schema(
        name="sentiment", type="feedback", input=options, experiment_id=tracker.experiment_id
    )
    queue = review_queues.create_review_queue(
        QUEUE,
        queue_type="custom",
        experiment_id=tracker.experiment_id,
        users=["ann", "ben"],
        schema_ids=[schema.schema_id],
    )
    ids = []
    for example in examples:
        with mlflow.start_span("app") as span:
            span.set_inputs({"text": example.fields["review"]})
            span.set_outputs("good")
        ids.append(span.trace_id)
    mlflow.flush_trace_async_logging()
    review_queues.add_items_to_review_queue(queue.queue_id, item_ids=ids)
    other = {"good": "bad", "bad": "good"}
    for trace_id, example in zip(ids, examples, strict=True):
        answer(trace_id, "ann", str(example.target))
    answer(ids[0], "ben", str(examples[0].target))
    answer(ids[1], "ben", other[str(examples[1].target)])
    mlflow.log_feedback(trace_id=ids[0], name="sentiment", value="good")  # of code, not of a person
    return examples


def test_each_person_is_an_annotator(cheap_ladder: CheapLadder, reviewed: tuple[Example, ...]) -> None:
    outcome = workflows.import_results(
        "mlflow-reviews", QUEUE, cheap_ladder.suite, baseline="people", tracking_uri=cheap_ladder.uri
    )
    (evaluation,) = outcome.document["evaluations"]
    run = cheap_ladder.run(evaluation["run_id"])
    assert run.data.metrics["human/labelled"] == pytest.approx(N / 120)
    assert run.data.metrics["human/annotator/ann/accuracy"] == 1.0
    assert run.data.metrics["human/annotator/ben/accuracy"] == 0.5
    assert run.data.params["imported.file"] == QUEUE


def test_what_cannot_be_taken_is_an_error_that_names_what_is_there(
    cheap_ladder: CheapLadder, reviewed: tuple[Example, ...]
) -> None:
    def take(baseline: str = "people", score: str | None = None) -> None:
        workflows.import_results(
            "mlflow-reviews", QUEUE, cheap_ladder.suite, baseline=baseline, score=score, tracking_uri=cheap_ladder.uri
        )

    with pytest.raises(SuiteError, match="goes into a baseline of kind human"):
        take("majority")
    with pytest.raises(DataError, match="nobody answered the question 'tone'; people answered: sentiment"):
        take(score="tone")
    (trace, *_) = mlflow.search_traces(return_type="list")
    answer(trace.info.trace_id, "ann", "harsh", "tone")
    with pytest.raises(DataError, match="several questions; name one with --score: sentiment, tone"):
        take()
