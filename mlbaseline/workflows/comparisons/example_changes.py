"""Read examples one by one: which a candidate wins and loses against a baseline."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import SuiteError
from mlbaseline.formats import counted
from mlbaseline.judge.example_changes import compare_examples
from mlbaseline.records import Change
from mlbaseline.report import counts_document, examples_csv, examples_jsonl, examples_text
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.answered_data import read_answered_data
from mlbaseline.workflows.comparisons.derivation import load_ladder

_WRITERS = {".csv": examples_csv, ".jsonl": examples_jsonl}


def examples(
    suite: SuiteReference,
    *,
    candidate: str,
    baseline: str,
    metric: str | None = None,
    won: bool = False,
    lost: bool = False,
    output: Path | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Show the examples that two rungs answer differently.

    Args:
        suite: Path of a suite file, name of a packaged suite, or the content of a suite as a mapping.
        candidate: A rung with a completed evaluation.
        baseline: Another rung with a completed evaluation.
        metric: A metric of the suite with a score per example. By default the first.
        won: Only examples that the candidate answers better.
        lost: Only examples that the baseline answers better. With `won`: both.
        output: Write all of them to this file, `.csv` or `.jsonl`, in place of the terminal.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `candidate`, `baseline`, `metric`, `counts` by change, and `examples` (absent with `output`).

    Raises:
        SuiteError: The file's ending is none of the two.
        DataError: A rung has no evaluation, or no score per example.
        TrackingError: The server cannot be reached, or has no completed runs of the suite.
    """
    if output is not None and output.suffix.lower() not in _WRITERS:
        raise SuiteError("--output", [f"expected a name that ends in .csv or .jsonl, got {output.name!r}"])
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    ladder = load_ladder(loaded, tracker)
    answered = next(iter(ladder.rungs.values()))[0].table  # comparable runs have one task
    digest = str(answered.signature.fields["data.digest"])
    data = read_answered_data(loaded, tracker, task_digest=digest, n_examples=len(answered.frame))
    pair = compare_examples(ladder, candidate, baseline, data.inputs, metric=metric)
    wanted = {change for change, chosen in ((Change.WON, won), (Change.LOST, lost)) if chosen} or set(Change)
    pair = replace(pair, examples=tuple(example for example in pair.examples if example.change in wanted))
    document = {"candidate": candidate, "baseline": baseline, "metric": pair.metric, "counts": counts_document(pair)}
    if output is None:
        rows = [asdict(example) for example in pair.examples]
        return CommandResult(
            {**document, "examples": rows}, lambda colour, width: examples_text(pair, colour=colour, width=width)
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(_WRITERS[output.suffix.lower()](pair), encoding="utf-8", newline="")
    n = len(pair.examples)
    return CommandResult({**document, "output": str(output), "n": n}, lambda *_: f"{counted(n, 'example')}: {output}")
