"""Rungs whose answers, or nothing but a score, come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from mlbaseline.engine.rungs.rung import Opened, Rung, Site, describe_baseline, flat, make_rung
from mlbaseline.models.published_score import read_score, stated_score
from mlbaseline.models.recorded import AnswersBySeed, RecordedAnswers, check_seeds, read_answers
from mlbaseline.records import UNKNOWN, Scalar, Signature, TaskData
from mlbaseline.suite import External, Recorded, Suite
from mlbaseline.tasks.data_files import read_table


def external_rungs(site: Site, name: str, spec: External, _: Sequence[int]) -> list[Rung]:
    where = f"baselines.{name}.table"
    score = stated_score(spec)
    if spec.table is not None:
        table = read_table(site.fetch(spec.table.asset).path, None)
        score = read_score(spec, spec.table, table.rows, where=where)
    protocol = {} if spec.protocol is None else spec.protocol.model_dump()
    fields = {"metric": spec.metric, "source": spec.source, **score, **dict(flat("protocol", protocol))}
    published = {f"published.{key}": value for key, value in fields.items()}
    signature = Signature({"model.kind": spec.kind, **published})
    params = {**describe_baseline(site.suite, name), **published}
    return [Rung(name, spec.kind, None, signature, params, None)]


def recorded_rungs(site: Site, name: str, spec: Recorded, seeds: Sequence[int]) -> list[Rung]:
    asset = site.fetch(spec.recorded.asset)
    answers = read_answers(read_table(asset.path, None).rows, site.data, where=f"baselines.{name}")
    return build_recorded_rungs(site.suite, site.data, name, answers, sha256=asset.sha256, seeds=seeds)


def build_recorded_rungs(
    suite: Suite,
    data: TaskData,
    name: str,
    answers: AnswersBySeed,
    *,
    sha256: str,
    seeds: Sequence[int],
    known: Mapping[str, Scalar] | None = None,
) -> list[Rung]:
    """The rungs of a baseline whose answers were given elsewhere: one per seed that they name, of those in `seeds`.

    sha256: of the file that they come from. known: what it says of how they came about.

    Raises DataError for a seed that the suite does not have, and for a fine-tune without one.
    """
    spec = suite.baselines[name]
    check_seeds(
        answers,
        suite.seeds,
        needs_seed=suite.is_random(name) or spec.kind in ("peft", "full"),
        where=f"baselines.{name}",
    )
    models = {seed: RecordedAnswers(spec.kind, given, sha256, known) for seed, given in answers.items()}
    return [
        replace(
            make_rung(suite, data, name, seed, fields=model.signature_fields(), open_=partial(Opened, model)),
            elsewhere=UNKNOWN,
        )
        for seed, model in models.items()
        if seed is None or seed in seeds
    ]
