"""How good a model is on the dev split while it is trained: what its epoch, and later its seed, is chosen by."""

from __future__ import annotations

from mlbaseline.engine.answering import answering_model
from mlbaseline.engine.batching import make_batches
from mlbaseline.engine.encoding import Branch
from mlbaseline.engine.forward import Row, score_rows, without_adapter
from mlbaseline.engine.recipe import TrainingJob, make_samples
from mlbaseline.engine.scoring import most_rows
from mlbaseline.metrics import METRICS, add_scores, measure
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Signature, TaskData
from mlbaseline.results import tabulate

NLL = "nll_nats"


def measure_dev(job: TrainingJob, checkpoint: Checkpoint) -> dict[str, float]:
    """Metrics on the dev split; {} without one.

    Where answers are texts, `nll_nats` is the mean over the examples of what the right answer and its end (or the whole
    text) cost. Texts are generated only where the epoch is chosen by what they are worth: that takes far longer.
    """
    dev = job.dev
    if dev is None:
        return {}
    found = {} if dev.labels else {NLL: _mean_nll_nats(job, checkpoint, dev)}
    if job.task.kind == "generate" and job.spec.select == NLL:
        return found
    return {**found, **_measure_answers(job, checkpoint, dev)}


def _measure_answers(job: TrainingJob, checkpoint: Checkpoint, dev: TaskData) -> dict[str, float]:
    evaluation = job.evaluation.model_copy(update={"latency_sample": 0})
    model = answering_model(job.task, checkpoint, job.prompting, dev.labels, evaluation, seed=job.seed)
    kind = job.spec.kind
    table = tabulate(dev, model.answer(dev.examples), baseline=kind, kind=kind, seed=job.seed, signature=Signature({}))
    names = [name for name, metric in METRICS.items() if job.task.kind in metric.kinds]
    table = add_scores(table, dev.labels, names)
    measured = {name: measure(table, dev.labels, name) for name in names}
    return {name: value for name, value in measured.items() if value is not None}


def _mean_nll_nats(job: TrainingJob, checkpoint: Checkpoint, dev: TaskData) -> float:
    rows = [
        Row(position, sample.tokens[: len(sample.tokens) + 1 - len(sample.answer)], (Branch(0, sample.answer),))
        for position, sample in enumerate(make_samples(job, checkpoint, dev))
    ]
    model, front = without_adapter(checkpoint.model)
    budget, nats = job.evaluation.batch_tokens, 0.0
    for batch in make_batches([len(row) for row in rows], budget, most_rows(front, budget)):
        nats -= sum(total for (total,) in score_rows(model, [rows[index] for index in batch], front))
    return nats / len(dev.examples)
