"""What the present suite would write into a signature, without loading a model, and without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mlbaseline.engine.rungs.rung import OpenedRung, Rung, RungContext
from mlbaseline.engine.training.program.job import program_fields
from mlbaseline.engine.training.signature_fields import data_fields, option_fields
from mlbaseline.errors import AssetError, DataError
from mlbaseline.records import ExpectedSignature, Scalar
from mlbaseline.suite import (
    Asset,
    External,
    Human,
    Pretrained,
    Production,
    ProgramSpec,
    ReadyAdapter,
    ReadyModel,
    Recorded,
    Split,
    TrainedSpec,
    Trivial,
)
from mlbaseline.tasks import kind_of_suite

_TASK = ("data.", "choices.", "metric.", "judge.")
_ANSWERING = (*_TASK, "prompt.", "generation.", "text.")
_OF_THE_MODEL = ("prompt.chat_template", "generation.version")
BuildRungs = Callable[[RungContext, str, Sequence[int]], list[Rung]]


@dataclass(frozen=True)
class Expectation:
    """Makes the signatures that evaluations of one suite must have to count.

    build_rungs: makes whole rungs of the kinds that need no model of ours. in_production: production baseline with a
    `uri` ─▶ the version that it stands for now.
    """

    context: RungContext
    build_rungs: BuildRungs
    in_production: Mapping[str, str | None] = field(default_factory=dict)

    def signature(self, name: str, seed: int | None, split: Split, *, is_imported: bool = False) -> ExpectedSignature:
        """Give the signature that an evaluation must have to count.

        Device and resolved precision are the machine's, versions of engine and software are the program's: they are no
        part of the suite, and comparability tells where runs differ in them. A checkpoint is known by its pinned
        digest, or by its content where it lies on this machine.

        Args:
            name: of the baseline.
            seed: of the run.
            split: that was answered.
            is_imported: whether another tool computed the answers; then the data and the metrics are the suite's.
        """
        context = replace(self.context, split=split)
        spec = context.suite.baselines[name]
        rung = context.rung(name, seed, fields={"model.kind": spec.kind}, open_=_never_opened)
        shared = rung.signature.fields
        if is_imported or isinstance(spec, External):
            template = kind_of_suite(context.suite).imported_prompting(0, None).signature_fields()["prompt.template"]
            return ExpectedSignature({**shared, "prompt.template": template}, _TASK)
        if isinstance(spec, Trivial | Human | Recorded) or (isinstance(spec, Production) and spec.endpoint is not None):
            return self._whole(context, name, seed) or ExpectedSignature(shared, _TASK)
        if isinstance(spec, Production):
            return ExpectedSignature({**shared, "model.version": self.in_production.get(name)}, _TASK)
        shots = spec.shots if isinstance(spec, Pretrained) else None
        load_train = partial(context.training_data, name)
        prompting, _ = kind_of_suite(context.suite).few_shot_prompting(shots, seed, load_train, _UnknownTemplate)
        prompt = prompting.signature_fields()
        fields = {**shared, **prompt, **_answering_fields(context), **_checkpoint_fields(context, name)}
        if isinstance(spec, TrainedSpec | ProgramSpec):
            fields |= data_fields(spec, context.training_data(name), context.task.splits.get("dev"), prompt)
        if isinstance(spec, TrainedSpec):
            fields |= {"training.max_length": context.suite.evaluation.max_length, **option_fields(spec)}
        if isinstance(spec, ProgramSpec):
            fields |= program_fields(spec, context.suite.root)
        return ExpectedSignature(fields, _ANSWERING, _OF_THE_MODEL)

    def _whole(self, context: RungContext, name: str, seed: int | None) -> ExpectedSignature | None:
        """Give the whole signature of a rung without a model of ours; None where its files are not on this machine."""
        seeds = context.suite.seeds if seed is None else (seed,)
        try:
            rungs = self.build_rungs(context, name, seeds)
        except (AssetError, DataError):
            return None
        found = next((rung for rung in rungs if rung.seed == seed), None)
        return None if found is None else ExpectedSignature(found.signature.fields, ("",))


def _answering_fields(context: RungContext) -> dict[str, Scalar]:
    evaluation = context.suite.evaluation
    fields: dict[str, Scalar] = {
        "engine.batch_tokens": evaluation.batch_tokens,
        "engine.max_length": evaluation.max_length,
        **kind_of_suite(context.suite).answer_fields(evaluation),
    }
    return fields if evaluation.precision == "auto" else {**fields, "engine.precision": evaluation.precision}


def _checkpoint_fields(context: RungContext, name: str) -> dict[str, Scalar]:
    spec, assets = context.suite.baselines[name], dict[str, Asset]()
    if isinstance(spec, Pretrained | ReadyModel):
        assets["model.sha256"] = spec.model
    elif isinstance(spec, TrainedSpec | ProgramSpec | ReadyAdapter):
        assets["model.sha256"] = context.suite.base_model(spec)
    if isinstance(spec, ReadyAdapter):
        assets["model.adapter_sha256"] = spec.adapter
    known = {name: _sha256_of(context, asset) for name, asset in assets.items()}
    return {name: sha256 for name, sha256 in known.items() if sha256 is not None}


def _sha256_of(context: RungContext, asset: Asset) -> str | None:
    """Give the digest of an asset; None where it is not pinned and not a path on this machine."""
    if asset.sha256 is not None:
        return asset.sha256
    is_here = ":/" not in asset.source and Path(context.suite.root, asset.source).exists()
    return context.fetch(asset).sha256 if is_here else None


class _UnknownTemplate:
    """Stands for the chat template of a model that is not loaded. The field that names it is not compared."""

    sha256 = ""

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Never called: a signature names a template, and renders nothing."""
        raise NotImplementedError

    def ending(self) -> str:
        """Never called."""
        raise NotImplementedError


def _never_opened() -> OpenedRung:
    raise NotImplementedError
