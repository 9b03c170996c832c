"""What is in production now: a registered model, loaded here, or an endpoint, asked over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlbaseline.cache import cache_dir
from mlbaseline.engine.rungs.rung import Opened, Question, Rung, Site, flat, progress_name
from mlbaseline.errors import DataError
from mlbaseline.records import REMOTE, UNKNOWN, Scalar
from mlbaseline.suite import Endpoint, GenerateTask, Production, Task
from mlbaseline.suite.production import HOW_ASKED
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting, placeholders

CLIENT_VERSION = 1
"""Part of every signature of an endpoint: raised when the same answer of a server is read as another one."""
_MODELS_OWN = ("generation.max_new_tokens", "generation.temperature")


def production_rungs(site: Site, name: str, spec: Production, seeds: Sequence[int]) -> list[Rung]:
    if spec.endpoint is not None:
        return [
            _endpoint(site, name, spec.endpoint, seed) for seed in (seeds if site.suite.is_random(name) else (None,))
        ]
    return _registered(site, name, spec, seeds)


def _registered(site: Site, name: str, spec: Production, seeds: Sequence[int]) -> list[Rung]:
    assert spec.uri is not None  # the suite has one of the two
    if site.find_registered is None:
        raise DataError(f"baselines.{name}: {spec.uri} lies on the tracking server, and there is no connection to one")
    found = site.find_registered(spec.uri)
    if found is None:
        if spec.optional:
            return []
        raise DataError(
            f"baselines.{name}: there is no {spec.uri} on the tracking server. Register that model first, or say "
            "`optional: true` if there is none yet"
        )
    question = _question(site)
    fields = {"model.kind": spec.kind, **found.signature_fields(question)}
    again = seeds if site.suite.is_random(name) and not found.is_seeded else (None,)
    rungs = [site.rung(name, seed, fields=fields, open_=lambda: Opened(found.open(question))) for seed in again]
    return [replace(rung, params={**rung.params, **found.facts}) for rung in rungs]


def _question(site: Site) -> Question:
    task = site.suite.task
    roles = task.columns.fields
    # Whatever shows the target, under its own name or another, is not for a model to see.
    columns = [field for field in site.data.examples[0].fields if roles.get(field, field) != task.columns.target]
    return Question(task, Prompting(task.prompt), tuple(site.data.labels), tuple(columns), site.suite.evaluation)


def _endpoint(site: Site, name: str, spec: Endpoint, seed: int | None) -> Rung:
    task = site.suite.task
    prompting = Prompting(task.prompt)

    def open_() -> Opened:
        from mlbaseline.models.endpoint import EndpointModel
        from mlbaseline.models.endpoint.answer_journal import AnswerJournal
        from mlbaseline.models.endpoint.protocols import TextRequest, make_request_format

        columns = (*placeholders(prompting.template), *(task.columns.choices or ()))
        sent_seed = seed if spec.seed is None else spec.seed
        text = TextRequest(Decoding.of(task), task.system) if isinstance(task, GenerateTask) else None
        request_format = make_request_format(spec, prompting, columns, site.data.labels, sent_seed, text=text)
        where = f"baselines.{name}.endpoint"
        description = progress_name(name, seed)
        return Opened(EndpointModel(spec, request_format, AnswerJournal(kept), where=where, description=description))

    rung = site.rung(name, seed, fields=_endpoint_fields(spec, prompting, task), open_=open_)
    kept = cache_dir() / "answers" / f"{rung.signature.digest}.jsonl"
    asked = dict(flat("endpoint", spec.model_dump(mode="json", include=HOW_ASKED)))
    return replace(rung, params={**rung.params, **asked}, elsewhere=REMOTE, kept=kept)


def _endpoint_fields(spec: Endpoint, prompting: Prompting, task: Task) -> dict[str, Scalar]:
    """What is known of an endpoint's answers. Not in it: keys, time limits, attempts, prices."""
    from mlbaseline.models.endpoint.protocols import INSTRUCTION

    fields: dict[str, Scalar] = {
        "model.kind": "production",
        "model.endpoint": spec.address,
        "model.protocol": spec.protocol,
        "model.name": spec.model,
        "model.client_version": CLIENT_VERSION,
        **dict.fromkeys(("model.sha256", "engine.version", "engine.precision"), UNKNOWN),
    }
    if not isinstance(task, GenerateTask):
        fields["model.choose_by"] = spec.choosing
    if spec.protocol == "mlflow":
        fields |= dict.fromkeys(("prompt.template", "prompt.chat_template", "prompt.shots"), UNKNOWN)
        return fields | generation_fields(task, sent=False)
    fields |= prompting.signature_fields()
    if isinstance(task, GenerateTask):
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
    """`generation.*` of a model of somebody else's, as our own rungs have them; none for a task that asks no texts.

    sent: whether the model is told the task's options. What it is not told is its own and unknown; its texts are cut,
    and answers extracted, here.
    """
    if not isinstance(task, GenerateTask):
        return {}
    fields = {"generation.version": UNKNOWN, **Decoding.of(task).signature_fields()}
    return fields if sent else fields | dict.fromkeys(_MODELS_OWN, UNKNOWN)
