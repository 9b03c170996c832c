"""A commented suite from a data file, which runs at once."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
import yaml
from pydantic import ValidationError

from mlbaseline.assets import fetch
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.stats import (
    VarianceComponents,
    compare_corpus,
    compare_paired,
    minimum_detectable_effect,
    perplexity,
)
from mlbaseline.suggestions import did_you_mean
from mlbaseline.suite import DataSource, Pretrained
from mlbaseline.suite.checks.yaml_errors import describe, dotted
from mlbaseline.suite.reading import load_suite, parse_suite
from mlbaseline.tasks import load_task
from mlbaseline.tasks.data_files import DataTable, FileOptions, read_table
from mlbaseline.tasks.data_files.delimiter import guess_delimiter
from mlbaseline.tasks.suite_draft import KINDS, Guess, Kind, SuiteDraft, draft_suite
from mlbaseline.workflows.command_result import CommandResult

Ask = Callable[[str, str], str]
"""Puts a question, with the answer that stands if nothing else is said."""
_SMALL, _TEST, _DEV, _TRAIN = 3_000, 1_000, 300, 1_500
"""From so many rows on, splits have these sizes in place of fractions: a first run should end."""

BYTE_PERPLEXITY = 4.0
"""Of a language model, before any run: two bits a byte, which even small models of English stay below."""
_DISAGREEMENT = 0.2


def init(
    data: str | Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    sheet: str | None = None,
    output: str | Path | None = None,
    text: str | None = None,
    target: str | None = None,
    kind: Kind | None = None,
    model: str | None = None,
    production: str | None = None,
    name: str | None = None,
    force: bool = False,
    ask: Ask | None = None,
) -> CommandResult:
    """Write a commented suite for a data file, and check that it is valid and that its splits can be drawn.

    Args:
        data: A csv, tsv, json, jsonl, parquet or Excel file.
        encoding: Character encoding of a text file. By default UTF-8.
        delimiter: Character between the cells of a csv or tsv file. By default guessed from the header.
        sheet: The sheet of an Excel file. By default the only one that holds something.
        output: The suite file. By default `NAME.yaml` beside the data.
        text: Column that the model reads. By default guessed.
        target: Column with the right answer. By default guessed.
        kind: `choice`, `generate` or `perplexity`. By default guessed from the target.
        model: The model to fine-tune: a folder, a GGUF file, `hf://…`, `pip://…`, `runs:/…` or `models:/…`. By default
            the small model of the packaged suite.
        production: URI of what is in production today. By default the champion of the suite's own registered model.
        name: Name of the suite. By default that of the data file.
        force: Write over a file that is there.
        ask: Puts a question about each guess. By default the guesses stand.

    Returns:
        The document has `suite` (the file), `splits` (their sizes), `guesses` (key, value and why), and `detectable`:
        the smallest true difference of an accuracy that the test shows with power .8.

    Raises:
        DataError: The file cannot be read, or what it holds cannot be guessed.
        SuiteError: The suite file is there already.
    """
    path = Path(data)
    written = _how_written(path, encoding=encoding, delimiter=delimiter, sheet=sheet)
    table = read_table(path, None, FileOptions.of(written))
    draft = draft_suite(table, text=text, target=target, kind=kind)
    if delimiter is None and written.delimiter is not None:
        why = "it cuts the header into the most columns"
        draft = replace(draft, guesses=(Guess("task.data.delimiter", written.delimiter, why), *draft.guesses))
    if ask is not None:
        draft = _asked(table, draft, ask)
    name = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-.") or "suite"
    file = Path(output) if output else path.with_name(f"{name}.yaml")
    if file.exists() and not force:
        raise SuiteError(str(file), ["is there already; choose another --output, or write over it with --force"])
    source = Path(os.path.relpath(path.resolve(), file.resolve().parent)).as_posix()
    named = written.model_copy(update={"source": source})
    content = suite_text(draft, name=name, data=named, model=model, production=production)
    suite = parse_suite(content, where=str(file), root=file.resolve().parent)
    loaded = load_task(suite, partial(fetch, root=suite.root))
    splits = {str(split): len(data.examples) for split, data in loaded.splits.items()}
    file.write_text(content, encoding="utf-8")
    guesses = [asdict(guess) for guess in draft.guesses]
    document = {"suite": str(file), "splits": splits, "guesses": guesses, "detectable": _detectable(splits["test"])}
    return CommandResult(document, lambda *_: _summary(file, draft, splits))


def _how_written(path: Path, *, encoding: str | None, delimiter: str | None, sheet: str | None) -> DataSource:
    """Describe a data file: what is said of it, and the delimiter that its header has. Raises SuiteError."""
    given = {"encoding": encoding, "delimiter": delimiter, "sheet": sheet}
    try:
        data = DataSource(source=str(path), **{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        problems = [describe(problem, given) for problem in error.errors()]
        raise SuiteError("init", [f"--{dotted(path)}: {message}" for path, message in problems]) from error
    if delimiter is None and path.suffix.lower() == ".csv" and (guessed := guess_delimiter(path, encoding)) != ",":
        return data.model_copy(update={"delimiter": guessed})
    return data


def _asked(table: DataTable, draft: SuiteDraft, ask: Ask) -> SuiteDraft:
    """Let a person confirm or change the columns and the kind; what they change, the rest is guessed from anew."""
    text = ask("Column that the model reads", draft.text)
    target = None if draft.kind == "perplexity" else ask("Column with the right answer", draft.target)
    answer = ask(f"Kind of task ({', '.join(KINDS)})", draft_suite(table, text=text, target=target).kind)
    kind = next((kind for kind in KINDS if kind == answer), None)
    if kind is None:
        raise DataError(
            f"{answer!r} is no kind of task; expected one of {', '.join(KINDS)}{did_you_mean(answer, KINDS)}"
        )
    return draft_suite(table, text=text, target=target, kind=kind)


def suite_text(draft: SuiteDraft, *, name: str, data: DataSource, model: str | None, production: str | None) -> str:
    """Write the suite file of a draft: the template of its kind of task, filled in.

    Args:
        draft: What the data hold.
        name: Name of the suite.
        data: The data file, as the suite names it.
        model: Reference of the model. None: that of the packaged suite.
        production: URI of the model in production. None: the champion of the suite's registered model.
    """
    why = {guess.key: guess.why for guess in draft.guesses}
    columns = [f"text: {_scalar(draft.text)}"]
    if draft.kind != "perplexity":
        columns.append(f"target: {_scalar(draft.target)}")
    if draft.cluster is not None:
        columns.append(f"cluster: {_scalar(draft.cluster)}")
    slices = {_scalar(_name(column)): f"{{column: {_scalar(column)}}}" for column in draft.slices}
    if draft.varies_in_length:
        slices["length"] = f"{{column: {_scalar(draft.text)}, quantiles: 3}}"
    watched = next(iter(slices), None)
    if draft.kind == "choice":
        slices["class"] = "{target: true}"
    template = resources.files("mlbaseline.suites") / "templates" / f"{draft.kind}.yaml"
    return Template(template.read_text(encoding="utf-8")).substitute(
        name=_scalar(name),
        data=", ".join(
            f"{key}: {_scalar(value)}" for key, value in data.model_dump(exclude_unset=True, exclude_none=True).items()
        ),
        why_kind=why.get("task.kind", ""),
        why_text=why.get("task.columns.text", ""),
        why_target=why.get("task.columns.target", ""),
        columns=", ".join(columns),
        choices=f"[{', '.join(map(_scalar, draft.choices))}]",
        target_map=_target_map(draft.target_map),
        split=_split(draft.n_rows),
        champion_margin=_champion_margin(draft.kind, draft.n_rows),
        n_rows=f"{draft.n_rows:,}",
        slices="".join(f"\n    {name}: {slicing}" for name, slicing in slices.items()) or " {}",
        watched=f"[{watched}]" if watched else "[]",
        max_new_tokens=max(16, -(-draft.longest_target // 3 // 16) * 16),
        model=_model(model),
        last_layers="" if model else ", last_layers: 12",
        model_name=_scalar(f"{name}-model"),
        production=_scalar(production or f"models:/{name}-model@champion"),
    )


def _scalar(text: str) -> str:
    """Write a text as YAML inside a flow mapping, quoted where YAML would read it as something else."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./ -]*(?<! )", text) and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).strip()


def _target_map(spelled: Mapping[str, str]) -> str:
    """Write the line of the key; empty where no label has another spelling."""
    written = ", ".join(f"{_scalar(text)}: {_scalar(choice)}" for text, choice in spelled.items())
    return f"\n  target_map: {{{written}}}  # other spellings of the same labels" if written else ""


def _name(column: str) -> str:
    """Make a name of a slice from that of a column."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", column).strip("_.-") or "slice"


def _split(n_rows: int) -> str:
    if n_rows < _SMALL:
        return "{train: 0.5, dev: 0.1, test: 0.4, seed: 13}"
    return f"{{train: {_TRAIN}, dev: {_DEV}, test: {_TEST}, seed: 13}}"


def _champion_margin(kind: Kind, n_rows: int) -> str:
    """Give the margin of a candidate over the champion: a run after a promotion has the champion for its candidate."""
    n = _TEST if n_rows >= _SMALL else n_rows * 2 // 5
    if kind == "perplexity":  # the interval of the same texts is as wide as the perplexity is high
        metric = perplexity()
        same = metric.statistics(np.full(n, math.log(BYTE_PERPLEXITY)), np.ones(n))
        low = -compare_corpus(same, same, metric).high
    else:
        low = compare_paired(np.zeros(n), np.zeros(n)).low
    return f"{min(-0.02, math.floor(100 * low) / 100):.2f}"


def _model(reference: str | None) -> str:
    if reference is not None:
        return f"{{source: {_scalar(reference)}}}"
    packaged = load_suite("tweets").baselines["zero_shot"]
    assert isinstance(packaged, Pretrained)
    return f"{{source: {_scalar(packaged.model.source)}, sha256: {_scalar(str(packaged.model.sha256))}}}"


def _detectable(n: int) -> float:
    """Compute the smallest true difference of a score in [0, 1] that n examples show, with power .8.

    Before any run, how often the systems differ is an assumption: `_DISAGREEMENT`.
    """
    return minimum_detectable_effect(VarianceComponents(_DISAGREEMENT), n)


def _summary(file: Path, draft: SuiteDraft, splits: Mapping[str, int]) -> str:
    width = max(len(guess.key) for guess in draft.guesses)
    lines = [f"{guess.key:<{width}}  {guess.value!r}: {guess.why}" for guess in draft.guesses]
    sizes = ", ".join(f"{split} {n:,}" for split, n in splits.items())
    n = splits["test"]
    power = (
        f"{n:,} test examples show a true difference of {_detectable(n):.1%} four times out of five, where two systems "
        f"differ on {_DISAGREEMENT:.0%} of the examples.\n"
    )
    return "\n".join(
        [
            *(f"Wrote {file}: {sizes}", "", *lines, "", *([power] if draft.kind == "choice" else [])),
            "Read it, above all the prompt. Then:",
            *(f"  mlbaseline {command} {shlex.quote(str(file))}" for command in ("doctor", "validate", "run")),
        ]
    )
