"""Does a rung give the same bits whatever shares its batch? One rung, repeated under other conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline import store
from mlbaseline.engine import hardware
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import SuiteError
from mlbaseline.judge.determinism import AnswerDifference, Stability, difference_of, differing_share, judge_stability
from mlbaseline.progress import progress_bar
from mlbaseline.records import Answer, Example, Model
from mlbaseline.store import audits
from mlbaseline.suggestions import unknown_name
from mlbaseline.suite import Pretrained, ProgramSpec, ReadyAdapter, ReadyModel, Suite, TrainedSpec
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult, document_json
from mlbaseline.workflows.health.audited_rungs import audit_context, sample_examples

_OURS = (Pretrained, TrainedSpec, ProgramSpec, ReadyModel, ReadyAdapter)


@dataclass(frozen=True)
class Repetition:
    """A repetition, and how its answers differ from those of the first time.

    what: in words. n_cached: answers that were found in the cache instead of being computed.
    """

    what: str
    difference: AnswerDifference
    n_cached: int = 0


@dataclass(frozen=True)
class SeedDifference:
    """Beside it: how often the completed seeds of a rung predict differently, as a share of the test's examples."""

    baseline: str
    n_seeds: int
    differing: float


def audit_determinism(
    suite: str | Path, *, baseline: str | None = None, n_examples: int = 60, tracking_uri: str | None = None
) -> CommandResult:
    """Answer some examples with one rung again and again, under conditions that must not change the answers.

    The conditions: the same again, other token budgets, the order reversed, half of the examples, in two parts,
    interrupted and resumed, and by two processes. Examples of dev are taken, so that the test is not looked at, or of
    the test where there is no dev; results of earlier evaluations are neither used nor changed. A run of kind
    `determinism` keeps what was found, and the report of a later comparison names it.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        baseline: A rung with a model of ours. By default the first pretrained one, else the first one.
        n_examples: How many examples are answered, evenly spread over the split.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `repetitions`, each with what differs, `seeds`: how often the completed seeds of the suite's
        rungs predict differently, `stability` (see `Stability`) and `run_id`.

    Raises:
        SuiteError: The suite has no such baseline, or none with a model of ours.
        AssetError: A model or a data file cannot be fetched.

    Example:
        >>> from mlbaseline.workflows import audit_determinism
        >>> audit_determinism("tweets").document["repetitions"][0]["difference"]["n_identical"]
        60
    """
    loaded = open_suite(suite)
    name = _choose(loaded, baseline)
    tracker = store.connect(tracking_uri, loaded.name)
    context = audit_context(loaded, tracker)
    examples = sample_examples(context, n_examples)
    opening = store.open_run(
        tracker, audits.DETERMINISM, name=f"{loaded.name} determinism: {name}", tags=store.suite_tags(loaded)
    )
    with opening as run:
        repetitions = _repeat(context, name, examples)
        seeds = _seed_differences(loaded, tracker, context.task.splits["test"].digest)
        stability = judge_stability([each.difference for each in repetitions], [each.differing for each in seeds])
        fields = build_rungs(_untimed(context), name, loaded.seeds[:1])[0].signature.fields
        document = {
            "suite": loaded.name,
            "baseline": name,
            "split": context.split,
            "n_examples": len(examples),
            "device": fields.get("engine.device"),
            "precision": fields.get("engine.precision"),
            "invariant": loaded.evaluation.invariant,
            "repetitions": [asdict(repetition) for repetition in repetitions],
            "seeds": [asdict(each) for each in seeds],
            "stability": stability.value,
            "run_id": run.run_id,
        }
        record = audits.AuditRecord(
            audits.DETERMINISM,
            _figures(repetitions),
            {
                "determinism.baseline": name,
                "determinism.split": context.split,
                "determinism.examples": len(examples),
                "determinism.invariant": loaded.evaluation.invariant,
                **{f"determinism.{key}": fields.get(f"engine.{key}") for key in ("device", "precision")},
                **hardware.describe_hardware(str(fields.get("engine.device", "cpu"))),
            },
            {"determinism.json": document_json(document), "determinism.txt": _text(document) + "\n"},
            {audits.STABILITY: stability.value},
        )
        audits.log_audit(run, loaded, record)
    return CommandResult(document, lambda *_: _text(document))


def _figures(repetitions: Sequence[Repetition]) -> dict[tuple[str, ...], float]:
    figures: dict[tuple[str, ...], float] = {}
    for repetition in repetitions:
        difference, what = repetition.difference, repetition.what
        figures[what, "identical_rate"] = difference.n_identical / difference.n
        figures[what, "changed_rate"] = difference.n_predictions / difference.n
        figures[what, "regrouped_rate"] = difference.n_regrouped / difference.n
        if math.isfinite(difference.largest_nats):
            figures[what, "largest_nats"] = difference.largest_nats
    return figures


def _choose(suite: Suite, baseline: str | None) -> str:
    ours = [name for name, spec in suite.baselines.items() if isinstance(spec, _OURS)]
    if baseline is not None and baseline not in suite.baselines:
        raise SuiteError(suite.name, [f"--baseline: {unknown_name('baseline', baseline, ours, 'expected one of')}"])
    if baseline is not None and baseline not in ours:
        kind = suite.baselines[baseline].kind
        raise SuiteError(suite.name, [f"--baseline: {baseline} ({kind}) has no model that is computed here"])
    if not ours:
        raise SuiteError(suite.name, ["no baseline has a model that is computed here, so nothing can differ"])
    pretrained = [name for name in ours if isinstance(suite.baselines[name], Pretrained)]
    return baseline or (pretrained or ours)[0]


def _untimed(context: RungContext, **evaluation: int) -> RungContext:
    return context.evaluated_with(latency_sample=0, **evaluation)


def _repeat(context: RungContext, name: str, examples: Sequence[Example]) -> list[Repetition]:
    budget = context.suite.evaluation.batch_tokens
    small, large = max(budget // 4, 1), budget * 4
    plain = _untimed(context)
    half = len(examples) // 2
    runs: list[tuple[str, RungContext, list[list[Example]]]] = [
        ("the same again", plain, [list(examples)]),
        (f"{small:,} tokens a batch instead of {budget:,}", _untimed(context, batch_tokens=small), [list(examples)]),
        (f"{large:,} tokens a batch", _untimed(context, batch_tokens=large), [list(examples)]),
        ("the order reversed", plain, [list(examples)[::-1]]),
        ("every other example alone", plain, [list(examples)[::2]]),
        ("in two parts", plain, [list(examples)[:half], list(examples)[half:]]),
        ("two processes", replace(plain, processes=2), [list(examples)]),
    ]
    with progress_bar(len(runs) + 2, "repetition", f"Repeating {name}") as bar:
        expected = _answers(plain, name, [list(examples)])
        bar.update()
        found = []
        for what, changed, parts in runs:
            found.append(Repetition(what, difference_of(expected, _answers(changed, name, parts))))
            bar.update()
        found.append(_resume(plain, name, examples, expected))
        bar.update()
    return found


def _resume(context: RungContext, name: str, examples: Sequence[Example], expected: Mapping[str, Answer]) -> Repetition:
    """Answer as an evaluation does that was killed half-way: what it had computed is found in the cache."""
    with TemporaryDirectory() as folder:
        caching = replace(context, keeps_results=True, results_folder=Path(folder))
        for _ in islice(_open(caching, name).answer(examples), len(examples) // 2):
            pass
        answers = {answer.example_id: answer for answer in _open(caching, name).answer(examples)}
    n_cached = sum(answer.batch is not None and answer.batch < 0 for answer in answers.values())
    return Repetition("interrupted half-way and resumed", difference_of(expected, answers), n_cached)


def _answers(context: RungContext, name: str, parts: Sequence[Sequence[Example]]) -> dict[str, Answer]:
    """Answer the parts one after the other; batches, which are numbered anew in each part, get numbers of their own."""
    model, numbers = _open(context, name), dict[tuple[int, int | None], int]()
    return {
        answer.example_id: replace(answer, batch=numbers.setdefault((part, answer.batch), len(numbers)))
        for part, examples in enumerate(parts)
        if examples
        for answer in model.answer(examples)
    }


def _open(context: RungContext, name: str) -> Model:
    rung = build_rungs(context, name, context.suite.seeds[:1])[0]
    assert rung.open is not None  # a rung with a model of ours
    return rung.open().model


def _seed_differences(suite: Suite, tracker: store.Tracker, digest: str) -> list[SeedDifference]:
    """Compare the newest completed runs of each rung over its seeds, on the present test."""
    runs: dict[tuple[str, int], store.EvaluationRun] = {}
    for run in store.find_evaluations(tracker):
        is_ours = run.task_digest == digest and run.split == "test" and run.baseline in suite.baselines
        if is_ours and run.seed in suite.seeds and run.examples_sha256 is not None:
            runs.setdefault((run.baseline, run.seed), run)
    found = []
    for name in suite.baselines:
        seeds = [run for (baseline, _), run in runs.items() if baseline == name]
        if len(seeds) > 1 and isinstance(suite.baselines[name], _OURS):
            tables = store.load_tables(tracker, seeds, cache=store.tables_cache())
            predictions: list[Mapping[str, object]] = [
                dict(zip(table.frame["example_id"], table.frame["prediction"], strict=True)) for table in tables
            ]
            found.append(SeedDifference(name, len(seeds), differing_share(predictions)))
    return found


_SENTENCES = {
    Stability.IDENTICAL: "Every repetition gives the same bits.",
    Stability.SMALL: "What changes is small beside the seeds.",
    Stability.LARGE: "What changes is not small beside the seeds.",
    Stability.UNKNOWN: "No rung has two completed seeds, so nothing tells whether what changes is small.",
}


def _text(document: Mapping[str, object]) -> str:
    """One line a repetition, then the seeds beside it."""
    repetitions, seeds = document["repetitions"], document["seeds"]
    assert isinstance(repetitions, list)
    assert isinstance(seeds, list)
    mode = "invariant" if document["invariant"] else "not invariant"
    lines = [
        f"{document['suite']}: {document['baseline']}, {document['n_examples']} examples of {document['split']}, "
        f"{document['precision']} on {document['device']}, {mode}",
        "",
    ]
    width = max(len(repetition["what"]) for repetition in repetitions)
    head = f"{'compared with the first time':<{width}}  other batch  same bits  largest difference  other prediction"
    lines.append(head)
    for repetition in repetitions:
        difference = repetition["difference"]
        nats, n = difference["largest_nats"], difference["n"]
        gap = "-" if math.isnan(nats) else "0" if nats == 0 else f"{nats:.2g} nats"
        moved, same, other = (f"{difference[f'n_{name}']}/{n}" for name in ("regrouped", "identical", "predictions"))
        lines.append(f"{repetition['what']:<{width}}  {moved:>11}  {same:>9}  {gap:>18}  {other:>16}")
    lines.append(
        "Other batch: examples that shared their batch with others than the first time. Where it is 0, the batch"
    )
    lines.append("was not tested; `--examples` takes more examples than fit into one.")
    lines += [
        f"{each['n_cached']} answers of {each['what']!r} were cached." for each in repetitions if each["n_cached"]
    ]
    for seed in seeds:
        what = f"two of the {seed['n_seeds']} seeds of {seed['baseline']} predict differently"
        lines.append(f"Beside it: {what} on {seed['differing']:.1%} of the test.")
    lines += [_SENTENCES[Stability(document["stability"])]]
    if document["stability"] != Stability.IDENTICAL:
        lines.append("`evaluation: {invariant: true}` makes log-likelihoods and texts the same bits; it costs time.")
    return "\n".join(lines)
