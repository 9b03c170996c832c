"""Rungs whose answers, or nothing but a score, were made by other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from mlbaseline.engine.rungs.rung import OpenedRung, Rung, RungContext, describe_baseline, flat
from mlbaseline.errors import DataError
from mlbaseline.models.published_score import read_score, stated_score
from mlbaseline.models.recorded import AnswersBySeed, RecordedAnswers, check_seeds, read_answers
from mlbaseline.records import UNKNOWN, Scalar, Signature
from mlbaseline.suite import External, Recorded
from mlbaseline.tasks.data_files import read_table


def external_rungs(context: RungContext, name: str, spec: External, _: Sequence[int]) -> list[Rung]:
    """Make the rung of a published score."""
    where = f"baselines.{name}.table"
    score = stated_score(spec)
    if spec.table is not None:
        table = read_table(context.fetch(spec.table.asset).path, None)
        score = read_score(spec, spec.table, table.rows, where=where)
    protocol = {} if spec.protocol is None else spec.protocol.model_dump()
    fields = {"metric": spec.metric, "source": spec.source, **score, **dict(flat("protocol", protocol))}
    published = {f"published.{key}": value for key, value in fields.items()}
    signature = Signature({"model.kind": spec.kind, **published})
    params = {**describe_baseline(context.suite, name), **published}
    return [Rung(name, spec.kind, None, signature, params, None)]


def recorded_rungs(context: RungContext, name: str, spec: Recorded, seeds: Sequence[int]) -> list[Rung]:
    """Make the rungs of answers in a file."""
    if spec.recorded == "imported":
        raise DataError(
            f"baselines.{name}: its answers are not here yet. Bring them with `mlbaseline import FORMAT PATH SUITE "
            f"--as {name}`."
        )
    asset = context.fetch(spec.recorded.asset)
    answers = read_answers(read_table(asset.path, None).rows, context.data, where=f"baselines.{name}")
    return build_recorded_rungs(context, name, answers, sha256=asset.sha256, seeds=seeds)


def build_recorded_rungs(
    context: RungContext,
    name: str,
    answers: AnswersBySeed,
    *,
    sha256: str,
    seeds: Sequence[int],
    known: Mapping[str, Scalar] | None = None,
) -> list[Rung]:
    """Make the rungs of recorded answers, one per seed that they name.

    Args:
        context: The suite and its data.
        name: Of the baseline.
        answers: The answers of each seed.
        sha256: Of the file that the answers come from.
        seeds: Only these.
        known: What the file says of how the answers came about, as fields of a signature.

    Raises:
        DataError: The answers have a seed that the suite does not have, or are a fine-tune's and name none.
    """
    suite = context.suite
    spec = suite.baselines[name]
    check_seeds(
        answers,
        suite.seeds,
        needs_seed=suite.is_random(name) or spec.kind in ("peft", "full"),
        where=f"baselines.{name}",
    )
    models = {seed: RecordedAnswers(spec.kind, given, sha256, known) for seed, given in answers.items()}
    rungs = [
        context.rung(name, seed, fields=model.signature_fields(), open_=partial(OpenedRung, model))
        for seed, model in models.items()
        if seed is None or seed in seeds
    ]
    return [replace(rung, external_device=UNKNOWN) for rung in rungs]
