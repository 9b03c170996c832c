"""How good a model is on the dev split while it is trained: what its epoch, and later its seed, is chosen by."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.scoring.log_likelihood_scorer import LogLikelihoodScorer
from mlbaseline.engine.scoring.prefix_tree import ScoringRequest
from mlbaseline.engine.training.distributed.strategy import ONE_PROCESS, Strategy
from mlbaseline.engine.training.job import TrainingJob, make_sequences
from mlbaseline.errors import MlbaselineError
from mlbaseline.metrics import add_scores, measure
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.progress import Title, progress_bar
from mlbaseline.records import OutputType, Signature, TaskData
from mlbaseline.results import tabulate

NLL = "nll_nats"
SCORING_DEV = "scoring dev"
"""Stage of a rung whose progress is shown."""


@dataclass(frozen=True)
class _DevScoring:
    """The dev split as it is scored: by which model, in which processes, under which title."""

    job: TrainingJob
    checkpoint: Checkpoint
    dev: TaskData
    strategy: Strategy
    description: Title | None


def measure_dev(
    job: TrainingJob, checkpoint: Checkpoint, strategy: Strategy = ONE_PROCESS, description: Title | None = None
) -> dict[str, float]:
    """Metrics on the dev split; {} without one. Each process answers its share of the examples.

    Where answers are texts, `nll_nats` is the mean over the examples of what the right answer and its end (or the whole
    text) cost. Texts are generated only where the epoch is chosen by what they are worth: that takes far longer.

    Args:
        job: Of the training.
        checkpoint: The model as it is now.
        strategy: How the processes of the training share the examples.
        description: Title of the progress bar; None: no bar.
    """
    if job.dev is None:
        return {}
    scoring = _DevScoring(job, checkpoint, job.dev, strategy, description)
    likelihood = {} if job.dev.labels else {NLL: _mean_nll_nats(scoring)}
    if job.task.output_type is OutputType.GENERATE_UNTIL and job.spec.select == NLL:
        return likelihood
    return {**likelihood, **_measure_answers(scoring)}


def _measure_answers(scoring: _DevScoring) -> dict[str, float]:
    job, dev, strategy = scoring.job, scoring.dev, scoring.strategy
    # Not invariant, whatever the evaluation: the epoch that is chosen must not depend on an option of it.
    evaluation = job.evaluation.model_copy(update={"latency_sample": 0, "invariant": False})
    execution = Execution(description=scoring.description)
    model = replace(job.answering, evaluation=evaluation).build(scoring.checkpoint, job.prompting, execution)
    kind = job.spec.kind
    answers = strategy.gather(list(model.answer(strategy.share(dev.examples))))
    table = tabulate(dev, answers, baseline=kind, kind=kind, seed=job.seed, signature=Signature({}))
    names = job.task.metric_names()
    table = add_scores(table, dev.labels, names)
    measured = {name: measure(table, dev.labels, name) for name in names}
    return {name: value for name, value in measured.items() if value is not None}


def _mean_nll_nats(scoring: _DevScoring) -> float:
    job, checkpoint, strategy = scoring.job, scoring.checkpoint, scoring.strategy
    sequences = strategy.share(make_sequences(job, checkpoint, scoring.dev))
    requests = [ScoringRequest(number, (sequence,)) for number, sequence in enumerate(sequences)]
    scorer = LogLikelihoodScorer(checkpoint, batch_tokens=job.evaluation.batch_tokens)
    results: list[RequestResult] = []
    with progress_bar(len(requests), "example", scoring.description) as bar:
        for batch in scorer.make_batches(requests):
            results += scorer(batch).values()
            bar.reach(len(results))
    if errors := [result.error for result in results if result.error]:
        raise MlbaselineError(f"training {job.spec.kind} (seed {job.seed}): dev cannot be measured: {errors[0]}")
    nats = strategy.total(float(sum(nats for result in results for nats in result.values)))
    return -nats / len(scoring.dev.examples)
