"""Rungs that need no model: trivial rules, a function of the user's, people."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline import suite
from mlbaseline.engine.rungs.rung import Opened, Rung, Site, make_rung
from mlbaseline.models.annotators import Annotators, read_labels
from mlbaseline.models.byte_frequencies import ByteFrequencies
from mlbaseline.models.heuristic import Heuristic
from mlbaseline.models.human import ExpectedAnnotator
from mlbaseline.models.trivial import TrivialRule
from mlbaseline.records import TaskData
from mlbaseline.suite import Asset, PerplexityTask, Suite
from mlbaseline.tasks.data_files import Row, read_table
from mlbaseline.tasks.prompting import placeholders


def trivial_rungs(site: Site, name: str, spec: suite.Trivial, seeds: Sequence[int]) -> list[Rung]:
    return [_trivial(site, name, spec, seed) for seed in (seeds if site.suite.is_random(name) else (None,))]


def _trivial(site: Site, name: str, spec: suite.Trivial, seed: int | None) -> Rung:
    task, fields = site.suite.task, placeholders(site.suite.task.prompt)
    train = site.task.splits.get("train")
    model: TrivialRule | Heuristic | ByteFrequencies
    if isinstance(task, PerplexityTask):
        model = ByteFrequencies(spec, train=train)
    elif spec.function is not None:
        where = f"baselines.{name}.function"
        model = Heuristic(spec.function, root=site.suite.root, labels=task.labels, fields=fields, where=where)
    else:
        model = TrivialRule(spec, labels=task.labels, train=train, seed=seed, fields=fields)
    return site.rung(name, seed, fields=model.signature_fields(), open_=lambda: Opened(model))


def human_rungs(site: Site, name: str, spec: suite.Human, _: Sequence[int]) -> list[Rung]:
    if spec.labels is None:
        assert spec.agreement is not None  # the suite has one of the two
        model = ExpectedAnnotator(spec.agreement)
        return [site.rung(name, None, fields=model.signature_fields(), open_=lambda: Opened(model))]
    asset = site.fetch(Asset(source=spec.labels))
    return [build_annotators_rung(site.suite, site.data, name, read_table(asset.path, None).rows, sha256=asset.sha256)]


def build_annotators_rung(suite: Suite, data: TaskData, name: str, rows: Sequence[Row], *, sha256: str) -> Rung:
    """What annotators said, from a sheet in long form. sha256: of its file. Raises DataError."""
    annotators = Annotators(read_labels(rows, data, where=f"baselines.{name}"), data.labels, sha256)
    opened = Opened(annotators, figures=annotators.figures(data))
    return make_rung(suite, data, name, None, fields=annotators.signature_fields(), open_=lambda: opened)
