"""Where does the variance between runs come from? One rung, run again with the seed of each source changed in turn."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from mlbaseline import formats, store
from mlbaseline.engine import hardware
from mlbaseline.engine.randomness import RandomSource, random_sources
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.metrics import add_scores, measure
from mlbaseline.progress import progress_bar
from mlbaseline.results import ResultTable
from mlbaseline.stats import CrossedVariance, crossed_variance
from mlbaseline.store import audits
from mlbaseline.suggestions import did_you_mean, unknown_name
from mlbaseline.suite import Suite
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult, document_json
from mlbaseline.workflows.evaluations.answering import tabulate_answers
from mlbaseline.workflows.health.audited_rungs import audit_context, sample_examples

log = logging.getLogger("mlbaseline")


@dataclass(frozen=True)
class VarianceDesign:
    """What is run.

    Attributes:
        baseline: The rung; None for the first with two sources of randomness, else with one.
        sources: Names of the sources that are varied; none for all that the rung has.
        levels: Seeds of each source; the runs are as many to the power of the number of sources.
        metric: Of the suite; None for that of its first primary contrast, else the first.
        n_examples: How many examples of dev are answered, evenly spread; None for all.
    """

    baseline: str | None = None
    sources: Sequence[str] = ()
    levels: int = 3
    metric: str | None = None
    n_examples: int | None = None


def audit_variance(
    suite: str | Path,
    *,
    design: VarianceDesign = VarianceDesign(),
    standard_error: float = 0.01,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Run one rung with every combination of a few seeds of each source of randomness, and take its variance apart.

    Sources are the first weights of an adapter, the order of the data (with dropout), the sample of solved examples and
    what is drawn in decoding. Examples of dev are answered, so that the test is not looked at; results of earlier
    evaluations are neither used nor changed. A run of kind `variance` keeps what was found.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        design: What is run.
        standard_error: Of the mean score over seeds, that so many seeds are wanted for.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `components` (variance and share of each source, and of what they do together, with limits),
        `variance` of a run, `seeds` (how many bring the standard error down to the one that is wanted, with limits),
        `examples_se` (what the examples add), the `runs` with their scores, and `run_id`.

    Raises:
        SuiteError: The suite has no such baseline, source or metric, or nothing that is random here.
        DataError: A run has no score.
        AssetError: A model or a data file cannot be fetched.

    Example:
        >>> from mlbaseline.workflows import VarianceDesign, audit_variance
        >>> found = audit_variance("tweets", design=VarianceDesign("lora", levels=2, n_examples=60))
        >>> [component["sources"] for component in found.document["components"]]
        [['initialisation'], ['order'], ['initialisation', 'order']]
    """
    loaded = open_suite(suite)
    name = _choose_baseline(loaded, design.baseline)
    sources, metric = _choose_sources(loaded, name, design.sources), _choose_metric(loaded, design.metric)
    if not standard_error > 0.0:
        raise SuiteError(loaded.name, [f"--se: expected a number above 0, got {standard_error!r}"])
    tracker = store.connect(tracking_uri, loaded.name)
    context = audit_context(loaded, tracker).evaluated_with(latency_sample=0)
    _log_extent(tracker, name, sources, design.levels)
    title = f"{loaded.name} variance: {name}"
    with store.open_run(tracker, audits.VARIANCE, name=title, tags=store.suite_tags(loaded)) as run:
        runs = _Runs.of(context, name, sources, design, metric)
        found = crossed_variance(runs.scores, [source.value for source in sources], level=loaded.matrix.level)
        document = {
            "suite": loaded.name,
            "baseline": name,
            "metric": metric,
            "split": context.split,
            "n_examples": runs.n_examples,
            "levels": design.levels,
            "runs": [
                {"seeds": {s.value: seed for s, seed in zip(sources, seeds, strict=True)}, "score": score}
                for seeds, score in zip(runs.cells, runs.scores.ravel().tolist(), strict=True)
            ],
            "components": [{**asdict(each), "sources": list(each.sources)} for each in found.components],
            "variance": {"value": found.total, "low": found.low, "high": found.high},
            "level": found.level,
            "examples_se": runs.examples_se,
            "seeds": dict(
                zip(("needed", "low", "high"), found.seeds_for(standard_error), strict=True),
                standard_error=standard_error,
            ),
            "run_id": run.run_id,
        }
        audits.log_audit(run, loaded, _record(document, found, runs.device))
    return CommandResult(document, lambda *_: _text(document))


def _log_extent(tracker: store.Tracker, name: str, sources: Sequence[RandomSource], levels: int) -> None:
    """Log how many runs there will be, and how long they train, if earlier evaluations of the rung tell."""
    n_runs, varied = levels ** len(sources), " and ".join(source.value for source in sources)
    log.info("%s: %d runs, with %d seeds for %s; --levels says how many", name, n_runs, levels, varied)
    earlier = (run.metrics.get("train_s") for run in store.find_evaluations(tracker) if run.baseline == name)
    train_s = next((seconds for seconds in earlier if seconds is not None), None)
    if train_s is not None:
        each, together = formats.duration(train_s), formats.duration(n_runs * train_s)
        log.info(
            "%s: its newest evaluation trained for %s, so that these runs train for about %s", name, each, together
        )


@dataclass(frozen=True)
class _Runs:
    """The runs of a design: seeds (cells), one a source, in the order of the flattened scores (levels, …)."""

    cells: list[tuple[int, ...]]
    scores: np.ndarray
    n_examples: int
    examples_se: float | None
    device: str

    @classmethod
    def of(
        cls, context: RungContext, name: str, sources: Sequence[RandomSource], design: VarianceDesign, metric: str
    ) -> _Runs:
        data = replace(context.data, examples=sample_examples(context, design.n_examples))
        first = context.suite.seeds[0]
        cells = list(itertools.product(range(first, first + design.levels), repeat=len(sources)))
        scores, first_table, device = [], None, "cpu"
        with progress_bar(len(cells), "run", f"Varying {name}") as bar:
            for cell in cells:
                seeded = replace(context, source_seeds=dict(zip(sources, cell, strict=True)))
                rung = build_rungs(seeded, name, [first])[0]
                assert rung.open is not None  # a rung with a model of ours
                answers = list(rung.open().model.answer(data.examples))
                table = add_scores(
                    tabulate_answers(context.suite, data, rung, answers), context.suite.task.labels, (metric,)
                )
                score = measure(table, context.suite.task.labels, metric)
                if score is None or not math.isfinite(score):
                    raise DataError(f"{rung.name}: a run has no {metric}, so its variance cannot be taken apart")
                scores.append(score)
                first_table, device = first_table or table, str(rung.signature.fields.get("engine.device", "cpu"))
                varied = ", ".join(f"{source.value} {seed}" for source, seed in zip(sources, cell, strict=True))
                bar.update(note=f"{varied}: {metric} {score:.3f}")
        shape = (design.levels,) * len(sources)
        return cls(cells, np.reshape(scores, shape), len(data.examples), _examples_se(first_table, metric), device)


def _examples_se(table: ResultTable | None, metric: str) -> float | None:
    """Compute the standard error of one run's mean score over the examples; None for a metric that is no mean."""
    scores = None if table is None else table.scores(metric)
    known = np.array([]) if scores is None else scores[~np.isnan(scores)]
    return float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else None


def _choose_baseline(suite: Suite, baseline: str | None) -> str:
    sources = {name: random_sources(suite, name) for name in suite.baselines}
    random = [name for name, found in sources.items() if found]
    if baseline is not None and baseline not in random:
        raise SuiteError(
            suite.name,
            [
                f"--baseline: {baseline!r} has no source of randomness that is drawn here; expected one of: "
                f"{', '.join(random) or 'none in this suite'}{did_you_mean(baseline, random)}"
            ],
        )
    if not random:
        raise SuiteError(suite.name, ["no baseline has a source of randomness that is drawn here"])
    return baseline or max(random, key=lambda name: min(len(sources[name]), 2))


def _choose_sources(suite: Suite, name: str, wanted: Sequence[str]) -> tuple[RandomSource, ...]:
    known = random_sources(suite, name)
    unknown = [each for each in wanted if each not in {source.value for source in known}]
    if unknown:
        sources = [source.value for source in known]
        problems = [f"--source: {unknown_name('source', each, sources, f'{name} has')}" for each in unknown]
        raise SuiteError(suite.name, problems)
    return tuple(source for source in known if not wanted or source.value in wanted)


def _choose_metric(suite: Suite, metric: str | None) -> str:
    if metric is not None and metric not in suite.metrics:
        raise SuiteError(suite.name, [f"--metric: {unknown_name('metric', metric, suite.metrics)}"])
    primary = suite.matrix.primary
    return metric or (primary[0].metric if primary else suite.metrics[0])


def _record(document: dict[str, object], found: CrossedVariance, device: str) -> audits.AuditRecord:
    figures: dict[tuple[str, ...], float] = {("total",): found.total}
    for component in found.components:
        figures["_and_".join(component.sources), "variance"] = component.variance
        figures["_and_".join(component.sources), "share"] = component.share
    params = {f"variance.{key}": str(document[key]) for key in ("baseline", "metric", "split", "n_examples", "levels")}
    files = {"variance.json": document_json(document), "variance.txt": _text(document) + "\n"}
    return audits.AuditRecord(audits.VARIANCE, figures, {**params, **hardware.describe_hardware(device)}, files)


def _text(document: dict[str, object]) -> str:
    """One line a source, then how many seeds are enough."""
    components, seeds, runs, variance = (document[key] for key in ("components", "seeds", "runs", "variance"))
    assert isinstance(components, list) and isinstance(runs, list)
    assert isinstance(seeds, dict) and isinstance(variance, dict)
    level = f"{document['level']:.0%}"
    lines = [
        f"{document['suite']}: {document['baseline']}, {document['metric']} of {document['n_examples']} examples of "
        f"{document['split']}, {len(runs)} runs, {document['levels']} seeds of each source",
        "",
    ]
    names = [" and ".join(component["sources"]) for component in components]
    names = [f"{name}, together" if " and " in name else name for name in names]
    width = max(map(len, names))
    lines.append(f"{'source':<{width}}  standard deviation  share of the variance")
    for name, component in zip(names, components, strict=True):
        deviation = math.sqrt(max(component["variance"], 0.0))
        interval = f"[{component['share_low']:.0%}, {component['share_high']:.0%}]"
        lines.append(f"{name:<{width}}  {deviation:>18.4f}  {component['share']:>4.0%} {interval}")
    spread = [math.sqrt(max(variance[key], 0.0)) for key in ("value", "low", "high")]
    lines.append(
        f"A run with another seed: standard deviation {spread[0]:.4f} [{spread[1]:.4f}, {spread[2]:.4f}] ({level} "
        "intervals, wide for few seeds)."
    )
    if document["examples_se"] is not None:
        lines.append(f"Beside it: the examples alone give a standard error of {document['examples_se']:.4f}.")
    lines.append(
        f"For a standard error of {seeds['standard_error']:g} over seeds: {seeds['needed']:,} seeds "
        f"[{seeds['low']:,}, {seeds['high']:,}], on these examples."
    )
    return "\n".join(lines)
