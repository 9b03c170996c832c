"""Rungs that a pretrained language model answers, zero-shot or few-shot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mlbaseline.engine.randomness import RandomSource
from mlbaseline.engine.rungs.language_model import LanguageModel, answering_of, build_model
from mlbaseline.engine.rungs.rung import OpenedRung, Rung, RungContext
from mlbaseline.models.checkpoints.tokenizer import ChatTemplate
from mlbaseline.suite import Pretrained
from mlbaseline.tasks import kind_of_suite


def pretrained_rungs(context: RungContext, name: str, spec: Pretrained, seeds: Sequence[int]) -> list[Rung]:
    """Make the rungs of a pretrained model, one per seed where shots or texts are drawn."""
    return [_pretrained(context, name, spec, seed) for seed in (seeds if context.suite.is_random(name) else (None,))]


def _pretrained(context: RungContext, name: str, spec: Pretrained, seed: int | None) -> Rung:
    asset = context.fetch(spec.model)
    load_train, load_template = partial(context.training_data, name), partial(ChatTemplate, asset.path)
    shots_seed = context.seed_of(RandomSource.SHOTS, seed)
    prompting, shots = kind_of_suite(context.suite).few_shot_prompting(
        spec.shots, shots_seed, load_train, load_template
    )
    answering = answering_of(context, seed)
    # The other ways to generate move the model, or change how it attends.
    shares = context.suite.evaluation.generate_with == "engine"

    def open_() -> OpenedRung:
        load = answering.loader(asset.path)
        key = (asset.path, asset.sha256, answering.precision, answering.device)
        checkpoint = context.shared_checkpoint.share(key, load) if shares else load()
        model = LanguageModel(asset.path, asset.sha256, prompting)
        answers = build_model(context, name, answering, model, checkpoint)
        return OpenedRung(answers, shots=shots, is_in_other_process=answering.is_by_vllm)

    fields = {
        "model.kind": spec.kind,
        "model.sha256": asset.sha256,
        **prompting.signature_fields(),
        **answering.signature_fields(asset.path),
    }
    return context.rung(name, seed, fields=fields, open_=open_, shares_checkpoint=shares, uses_processes=True)
