"""Writing the run of one baseline and one seed: who it is when it starts, what it found when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.assets import hash_file
from mlbaseline.model_files import file_digests
from mlbaseline.records import Cost, Scalar, Signature, TaskData, Trained, Weights, digest_of, field_names, seed_text
from mlbaseline.results import FIRST_TOKEN, ResultTable, save_signature
from mlbaseline.store.items import (
    Artifacts,
    Dataset,
    Item,
    LoggedModel,
    Metrics,
    Params,
    Series,
    Tags,
    metric_name,
    param_text,
    write,
)
from mlbaseline.store.measured import MEASURED_SHA256, MeasuredFigures, write_measured
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import NOTE, PREFIX, Run, open_run, suite_tags
from mlbaseline.store.suites import suite_artifact
from mlbaseline.suite import Suite
from mlbaseline.untrusted import escape_markdown, excerpt

EVALUATION = "evaluation"
EXAMPLES, SIGNATURE, LADDER_RUNS = "results/examples.parquet", "results/signature.json", "ladder/evaluations.txt"
EXAMPLES_SHA256 = PREFIX + "examples_sha256"
MODEL_SHA256, WEIGHTS_SHA256 = PREFIX + "model_sha256", PREFIX + "weights_sha256"
"""Tags of an evaluation and of a registered version: digest of all files of the model, and of its weights alone."""
UNANSWERED = PREFIX + "unanswered"
"""Tag of a run some of whose rows are errors that asking again may mend: how many. No later evaluation reuses it."""
ANSWERED = PREFIX + "answered"
"""Tag of a run that answered a part of the test, up to a registered look: how many examples. It is for people and for
the evaluation that continues it; what a comparison counts are the rows."""
NO_DATA = "none"
_NOTES, _NOTE_CHARACTERS = 10, 300
PUBLISHED = "external"
"""Kind of a rung that has a score and no rows."""

SliceMetrics = Mapping[str, Mapping[str, Mapping[str, float]]]
"""slice ─▶ value ─▶ metric ─▶ number."""


@dataclass(frozen=True)
class EvaluationFigures:
    """What an evaluation came to, beside its rows.

    Attributes:
        metrics: Metric ─▶ its value over all examples, None where it has none.
        slices: The same on the slices.
        cost: What training and answering took.
        others: Further numbers, by the parts of their names.
        facts: The run's parameters about machine, software and prices.
    """

    metrics: Mapping[str, float | None]
    slices: SliceMetrics
    cost: Cost
    others: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    facts: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluatedModel:
    """The model that answered, as far as it is our own.

    Attributes:
        weights: Those of a fine-tune.
        trained: How they were trained.
        logged: What MLflow needs to serve the model; None where there is nothing to serve.
    """

    weights: Weights | None = None
    trained: Trained | None = None
    logged: LoggedModel | None = None


@contextmanager
def open_evaluation(
    tracker: Tracker,
    suite: Suite,
    *,
    baseline: str,
    seed: int | None,
    signature: Signature,
    data: TaskData | None,
    params: Mapping[str, Scalar],
    parent: str | None = None,
) -> Iterator[Run]:
    """Open the run of a baseline and a seed for the length of the block, in which `log_evaluation` fills it.

    data: None for a published score, which `log_published` writes: it was not measured on our examples.

    Everything that is known before the first score stands in the run before the first score. Raises TrackingError.
    """
    tags = {
        **suite_tags(suite),
        PREFIX + "baseline": baseline,
        PREFIX + "baseline_kind": suite.baselines[baseline].kind,
        PREFIX + "seed": seed_text(seed),
        PREFIX + "split": data.split if data else NO_DATA,
        PREFIX + "task_digest": data.digest if data else NO_DATA,
        PREFIX + "signature_digest": signature.digest,
    }
    name = baseline if seed is None else f"{baseline} · seed {seed}"
    if data is not None and data.split != "test":
        name = f"{name} · {data.split}"
    note = "" if data is None else _about(suite, baseline, seed, data)
    with open_run(tracker, EVALUATION, name=name, tags=tags, parent=parent, note=note) as run:
        with TemporaryDirectory() as temporary:
            write(run, suite_artifact(suite, Path(temporary)), Params(params))
        yield run


def _about(suite: Suite, baseline: str, seed: int | None, data: TaskData) -> str:
    """Markdown: what the run evaluates, and what stood out in its data."""
    drawn = "" if seed is None else f", seed {seed}"
    lines = [
        f"**{escape_markdown(baseline)}**{drawn} ({suite.baselines[baseline].kind}), of the suite "
        f"{escape_markdown(suite.name)}, on {len(data.examples):,} examples of {data.split}."
    ]
    if data.notes:
        shown = data.notes[:_NOTES]
        lines += ["", "What stood out in the data:", ""]
        lines += [f"- {escape_markdown(excerpt(note, _NOTE_CHARACTERS))}" for note in shown]
        lines += [f"- and {len(data.notes) - _NOTES} more"] if len(data.notes) > _NOTES else []
    return "\n".join(lines)


def log_evaluation(
    run: Run,
    table: ResultTable,
    *,
    suite: Suite,
    data: TaskData,
    figures: EvaluationFigures,
    model: EvaluatedModel = EvaluatedModel(),
) -> None:
    """Write the results of an evaluation into its run.

    Args:
        run: The run, open.
        table: The rows, with their scores.
        suite: The suite that was evaluated.
        data: The examples that were answered.
        figures: What the evaluation came to.
        model: The model that answered.

    Raises:
        TrackingError: The server cannot be reached or refuses, or the disk is full.
    """
    with TemporaryDirectory() as temporary, reporting(f"store the results of {run.name!r}", run.tracker.uri):
        folder = Path(temporary, "run")
        table.save(folder / "results")
        measured = _measured(figures, model)
        texts = {name: param_text(value) for name, value in figures.facts.items()}
        items: list[Item] = [
            Artifacts(folder),
            _dataset(suite, data),
            Tags({EXAMPLES_SHA256: hash_file(folder / EXAMPLES)}),
            Tags({MEASURED_SHA256: write_measured(folder / "results", MeasuredFigures(measured, texts))}),
            Tags({UNANSWERED: str(table.n_unanswered)} if table.n_unanswered else {}),
            Tags({ANSWERED: str(len(table.frame))} if len(table.frame) < len(data.examples) else {}),
            Metrics({**figures.metrics, **_flat(figures.slices), **_costs(figures.cost)}),
            Metrics({**_rates(table), **_first_token(table)}),
            Metrics(measured),
        ]
        if model.trained is not None:
            items.append(Series("train_loss_nats", model.trained.losses))
        if model.weights is not None:
            items.append(Tags({WEIGHTS_SHA256: model.weights.sha256}))
        if model.logged is not None:
            digest = {MODEL_SHA256: digest_of(file_digests(model.logged.folders))}
            items += [replace(model.logged, tags={**model.logged.tags, **digest}), Tags(digest)]
        write(run, *items)


def log_published(run: Run, signature: Signature, metrics: Mapping[str, float]) -> None:
    """Fill the run of a published score: there are no rows, only what the suite says of it. Raises TrackingError."""
    with TemporaryDirectory() as temporary, reporting(f"store the score {run.name!r}", run.tracker.uri):
        save_signature(signature, Path(temporary, "results"))
        write(run, Artifacts(Path(temporary)), Metrics(metrics))


def log_ladder(run: Run, evaluation_run_ids: Iterable[str], note: str = "") -> None:
    """Note which evaluations a ladder stands on: those it ran and those it found completed and reused.

    note: Markdown, shown on the ladder's page in place of the one that it was opened with.
    """
    with TemporaryDirectory() as temporary, reporting(f"store the rungs of {run.name!r}", run.tracker.uri):
        path = Path(temporary, LADDER_RUNS)
        path.parent.mkdir()
        path.write_text("\n".join(evaluation_run_ids) + "\n", encoding="utf-8")
        write(run, Artifacts(Path(temporary)), *([Tags({NOTE: note})] if note else []))


def _dataset(suite: Suite, data: TaskData) -> Dataset:
    source = suite.task.data.source or getattr(suite.task.data, data.split)
    name, columns = f"{suite.name}-{data.split}", field_names(data.examples)
    return Dataset(name, data.digest, data.split, source, len(data.examples), columns)


def _flat(slices: SliceMetrics) -> dict[str, float]:
    return {
        metric_name("slice", name, value, metric): number
        for name, values in slices.items()
        for value, metrics in values.items()
        for metric, number in metrics.items()
    }


def _costs(cost: Cost) -> dict[str, float | None]:
    return {
        "train_cost_usd": cost.train_usd,
        "compute_s_per_query": cost.compute_s_per_query,
        "cost_per_query_usd": cost.usd_per_query,
        "latency_p50_s": cost.latency_p50_s,
        "latency_p95_s": cost.latency_p95_s,
        "latency_p99_s": cost.latency_p99_s,
        **_bounds(cost),
    }


def _bounds(cost: Cost) -> dict[str, float | None]:
    """`interval/latency_p95_s_low` and so on: a group of their own among the metrics."""
    names = {"usd_per_query": "cost_per_query_usd"}
    return {
        f"interval/{names.get(field, field)}_{side}": getattr(bounds, side)
        for field, bounds in cost.bounds.items()
        for side in ("low", "high")
    }


def _rates(table: ResultTable) -> dict[str, float | None]:
    """Of the whole split as it was computed, in batches. A rung that computes nothing has no speed."""
    frame = table.frame
    compute_s, tokens = float(frame["compute_s"].sum()), int((frame["tokens_in"] + frame["tokens_out"]).sum())
    return {
        "error_rate": float(frame["error"].notna().mean()),
        "examples_per_s": len(frame) / compute_s if compute_s else None,
        "tokens_per_s": tokens / compute_s if compute_s and tokens else None,
    }


def _first_token(table: ResultTable) -> dict[str, float]:
    """Where answers were streamed: until the first piece of one was there."""
    if FIRST_TOKEN not in table.frame:
        return {}
    waits = table.frame[FIRST_TOKEN].dropna()
    return {f"first_token_{name}_s": float(waits.quantile(q)) for name, q in (("p50", 0.5), ("p95", 0.95))}


def _measured(figures: EvaluationFigures, model: EvaluatedModel) -> dict[str, float]:
    """Collect what was measured around the rows, by the names of the run's metrics."""
    trained = model.trained
    measured: dict[str, float | None] = {
        "train_s": figures.cost.train_s,
        "peak_memory_bytes": figures.cost.peak_memory_bytes,
        "weights_bytes": None if model.weights is None else model.weights.size_bytes,
        **{metric_name(*parts): value for parts, value in figures.others.items()},
    }
    if trained is not None:
        measured |= {"trainable_params": trained.trainable_params, "selected_epoch": trained.selected_epoch}
        measured |= {metric_name("dev", name): value for name, value in trained.dev.items()}
    return {name: float(value) for name, value in measured.items() if value is not None}
