"""Rungs that need no model: trivial rules, a function of the user's, people."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline import suite
from mlbaseline.engine.rungs.rung import OpenedRung, Rung, RungContext
from mlbaseline.models.annotators import Annotators, read_labels
from mlbaseline.models.byte_frequencies import ByteFrequencies
from mlbaseline.models.heuristic import Heuristic
from mlbaseline.models.human import ExpectedAnnotator
from mlbaseline.models.trivial import TrivialRule
from mlbaseline.records import OutputType
from mlbaseline.suite import Asset
from mlbaseline.tasks.data_files import read_table
from mlbaseline.tasks.prompting import placeholders
from mlbaseline.values import NumberedRow


def trivial_rungs(context: RungContext, name: str, spec: suite.Trivial, seeds: Sequence[int]) -> list[Rung]:
    return [_trivial(context, name, spec, seed) for seed in (seeds if context.suite.is_random(name) else (None,))]


def _trivial(context: RungContext, name: str, spec: suite.Trivial, seed: int | None) -> Rung:
    task, fields = context.suite.task, placeholders(context.suite.task.prompt)
    train = context.task.splits.get("train")
    model: TrivialRule | Heuristic | ByteFrequencies
    if task.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
        model = ByteFrequencies(spec, train=train)
    elif spec.function is not None:
        where = f"baselines.{name}.function"
        model = Heuristic(spec.function, root=context.suite.root, labels=task.labels, fields=fields, where=where)
    else:
        model = TrivialRule(spec, labels=task.labels, train=train, seed=seed, fields=fields)
    return context.rung(name, seed, fields=model.signature_fields(), open_=lambda: OpenedRung(model))


def human_rungs(context: RungContext, name: str, spec: suite.Human, _: Sequence[int]) -> list[Rung]:
    if spec.labels is None:
        assert spec.agreement is not None  # the suite has one of the two
        model = ExpectedAnnotator(spec.agreement)
        return [context.rung(name, None, fields=model.signature_fields(), open_=lambda: OpenedRung(model))]
    asset = context.fetch(Asset(source=spec.labels))
    return [build_annotators_rung(context, name, read_table(asset.path, None).rows, sha256=asset.sha256)]


def build_annotators_rung(context: RungContext, name: str, rows: Sequence[NumberedRow], *, sha256: str) -> Rung:
    """Make the rung of annotators' labels, from a sheet with a row for each label.

    Args:
        context: The suite and its data.
        name: Of the baseline.
        rows: Of the sheet.
        sha256: Of its file.

    Raises:
        DataError: The labels do not fit the suite.
    """
    labels = read_labels(rows, context.data, where=f"baselines.{name}")
    annotators = Annotators(labels, context.data.labels, sha256)
    opened = OpenedRung(annotators, figures=annotators.figures(context.data))
    return context.rung(name, None, fields=annotators.signature_fields(), open_=lambda: opened)
