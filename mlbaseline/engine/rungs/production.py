"""Rungs of what is in production now: a registered model, loaded here, or an endpoint, reached over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlbaseline.cache import cache_dir
from mlbaseline.engine.rungs.rung import (
    OpenedRung,
    RegisteredModel,
    Rung,
    RungContext,
    TaskDescription,
    flat,
)
from mlbaseline.errors import DataError
from mlbaseline.progress import Stage
from mlbaseline.records import REMOTE, UNKNOWN, Scalar, Signature
from mlbaseline.suite import Endpoint, Production, Task
from mlbaseline.suite.production import HOW_ASKED
from mlbaseline.tasks import kind_of
from mlbaseline.tasks.prompting import Prompting, placeholders

CLIENT_VERSION = 1
"""Part of every signature of an endpoint: raised when the same answer of a server is read as another one."""
_MODELS_OWN = ("generation.max_new_tokens", "generation.temperature")


def production_rungs(context: RungContext, name: str, spec: Production, seeds: Sequence[int]) -> list[Rung]:
    """Make the rungs of a registered model or an endpoint, one per seed where answers are drawn."""
    if spec.endpoint is not None:
        each = seeds if context.suite.is_random(name) else (None,)
        return [_endpoint(context, name, spec.endpoint, seed) for seed in each]
    return _registered(context, name, spec, seeds)


def _registered(context: RungContext, name: str, spec: Production, seeds: Sequence[int]) -> list[Rung]:
    assert spec.uri is not None  # the suite has one of the two
    if context.find_registered is None:
        raise DataError(f"baselines.{name}: {spec.uri} lies on the tracking server, and there is no connection to one")
    model = context.find_registered(spec)
    if model is None:
        if spec.optional:
            return []
        raise DataError(
            f"baselines.{name}: there is no {spec.uri} on the tracking server. Register that model first, or say "
            "`optional: true` if there is none yet"
        )
    task = _describe_task(context)
    each = seeds if context.suite.is_random(name) and not model.is_seeded else (None,)
    return [_registered_rung(context, name, seed, model, task) for seed in each]


def _registered_rung(
    context: RungContext, name: str, seed: int | None, model: RegisteredModel, task: TaskDescription
) -> Rung:
    def open_() -> OpenedRung:
        return OpenedRung(model.open(task, answers), is_in_other_process=model.is_in_other_process)

    fields = {"model.kind": "production", **model.signature_fields(task)}
    rung = context.rung(name, seed, fields=fields, open_=open_)
    answers = _answers_file(rung.signature) if model.is_in_other_process else None
    return replace(rung, params={**rung.params, **model.facts}, answer_journal=answers)


def _answers_file(signature: Signature) -> Path:
    """Name the file that keeps the answers of a rung until its run is complete."""
    return cache_dir() / "answers" / f"{signature.digest}.jsonl"


def _describe_task(context: RungContext) -> TaskDescription:
    task = context.suite.task
    roles = task.columns.fields
    # Whatever shows the target, under its own name or another, is not for a model to see.
    columns = [field for field in context.data.examples[0].fields if roles.get(field, field) != task.columns.target]
    return TaskDescription(
        task, Prompting(task.prompt), tuple(context.data.labels), tuple(columns), context.suite.evaluation
    )


def _endpoint(context: RungContext, name: str, spec: Endpoint, seed: int | None) -> Rung:
    task = context.suite.task
    prompting = Prompting(task.prompt)

    def open_() -> OpenedRung:
        from mlbaseline.models.endpoint import EndpointModel
        from mlbaseline.models.endpoint.answer_journal import AnswerJournal
        from mlbaseline.models.endpoint.protocols import TextRequest, make_request_format

        columns = (*placeholders(prompting.template), *(task.columns.choices or ()))
        sent_seed = seed if spec.seed is None else spec.seed
        decoding, labels = kind_of(task).decoding, context.data.labels
        text = None if decoding is None else TextRequest(decoding, task.system)
        request_format = make_request_format(spec, prompting, columns, labels, sent_seed, text=text)
        where, description = f"baselines.{name}.endpoint", Stage(name, seed, "answering")
        answers = AnswerJournal(journal)
        return OpenedRung(EndpointModel(spec, request_format, answers, where=where, description=description))

    rung = context.rung(name, seed, fields=_endpoint_fields(spec, prompting, task), open_=open_)
    journal = _answers_file(rung.signature)
    options = dict(flat("endpoint", spec.model_dump(mode="json", include=HOW_ASKED)))
    return replace(rung, params={**rung.params, **options}, external_device=REMOTE, answer_journal=journal)


def _endpoint_fields(spec: Endpoint, prompting: Prompting, task: Task) -> dict[str, Scalar]:
    """Return what is known of an endpoint's answers. Not in it: keys, time limits, attempts, prices."""
    from mlbaseline.models.endpoint.protocols import INSTRUCTION

    fields: dict[str, Scalar] = {
        "model.kind": "production",
        "model.endpoint": spec.address,
        "model.protocol": spec.protocol,
        "model.name": spec.model,
        "model.client_version": CLIENT_VERSION,
        **dict.fromkeys(("model.sha256", "engine.version", "engine.precision"), UNKNOWN),
    }
    generates = kind_of(task).decoding is not None
    if not generates:
        fields["model.choose_by"] = spec.choosing
    if spec.protocol == "mlflow":
        fields |= dict.fromkeys(("prompt.template", "prompt.chat_template", "prompt.shots"), UNKNOWN)
        return fields | generation_fields(task, sent=False)
    fields |= prompting.signature_fields()
    if generates:
        if spec.protocol == "chat":
            fields |= {"prompt.chat_template": UNKNOWN}
            if task.chat_template:
                fields |= {"prompt.choice_delimiter": "", "prompt.system": task.system, "prompt.multiturn": False}
        return fields | {"model.decoding.stream": spec.stream} | generation_fields(task, sent=True)
    if spec.protocol == "chat":
        fields |= {"prompt.chat_template": UNKNOWN, "model.instruction": INSTRUCTION}
    if spec.choosing != "loglik":
        decoding = spec.model_dump(include={"max_new_tokens", "temperature", "seed", "stream"})
        fields |= dict(flat("model.decoding", decoding))
    return fields


def generation_fields(task: Task, *, sent: bool) -> dict[str, Scalar]:
    """Return the `generation.*` fields of a model that is not ours; none for a task that generates no texts.

    Args:
        task: The task of the suite.
        sent: Whether the model is sent the task's options. Options that it is not sent are unknown; its texts are
            cut, and answers extracted, here.
    """
    decoding = kind_of(task).decoding
    if decoding is None:
        return {}
    fields = {"generation.version": UNKNOWN, **decoding.signature_fields()}
    return fields if sent else fields | dict.fromkeys(_MODELS_OWN, UNKNOWN)
