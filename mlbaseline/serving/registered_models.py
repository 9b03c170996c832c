"""A registered model as a rung of the ladder: our own through its log-likelihoods, every other through `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlbaseline.assets import sha256_of
from mlbaseline.engine.rungs import RegisteredModel, TaskDescription, generation_fields
from mlbaseline.errors import DataError, SignatureError, TrackingError, UntrustedModelError
from mlbaseline.model_files import NO_DIGESTS, SERVED, ModelDigests, model_sha256
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.records import UNKNOWN, Model, OutputType, Scalar
from mlbaseline.serving.isolated_process import IsolatedModel
from mlbaseline.serving.pyfunc_model import PyfuncPredictor
from mlbaseline.serving.served import Served, load_served, locate_weights, read_served
from mlbaseline.signing import TrustedKeys
from mlbaseline.store.evaluations import MODEL_SHA256, WEIGHTS_SHA256
from mlbaseline.store.registry.registered_names import find_version
from mlbaseline.store.registry.signed_versions import require_signed_model
from mlbaseline.store.registry.stated import EVALUATION_RUN_ID, require_same_model, stated_digests
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.references import parse_model, resolve
from mlbaseline.store.server.reporting import reporting
from mlbaseline.suite import Production
from mlbaseline.tasks.prompting import Prompting, placeholders, shots_text

FACTS = "production."
PRODUCTION_VERSION = FACTS + "version"
"""Parameter of a run: which version stood behind the reference when it was evaluated."""
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""mlflow 3.17: a model without the alias is an invalid parameter."""


def find_registered(server: Server, spec: Production, *, trusted: TrustedKeys | None = None) -> RegisteredModel | None:
    """Return the model that a baseline's `uri` stands for now; None where there is none.

    Args:
        server: The tracking server.
        spec: The baseline. A model that it names by its digest needs no signature.
        trusted: The keys by one of which the version must be signed; None where none is asked for.

    Raises:
        SignatureError: It is not signed, by another key, or is another model than the one that was signed.
        TrackingError: The server cannot be reached, or the reference is not valid.
        UntrustedModelError: Its files are not those that were evaluated, or not those that the suite names; or it would
            run code of its own, and the suite does not name it by its digest.
    """
    uri = str(spec.uri)
    identity = find_identity(server, uri)
    if identity is None:
        return None
    folder = resolve(server, identity.uri)
    require_same_model(folder, identity.stated, f"{uri} ({identity.version})")
    facts = {FACTS + "uri": uri, PRODUCTION_VERSION: identity.version, FACTS + "source_run_id": identity.source_run_id}
    if identity.stated.weights_sha256 is not None:
        facts[FACTS + "weights_sha256"] = identity.stated.weights_sha256
    served = folder / "artifacts" / SERVED
    model = OwnModel(facts, folder, served) if served.is_dir() else PyfuncModel(facts, folder)
    if spec.sha256 is not None:
        _require_digest(model, spec.sha256)
    elif trusted is not None:
        _require_signed(server, identity, trusted, model)
    elif model.runs_code:
        raise UntrustedModelError(
            f"{model.name}: expected a model of mlbaseline's own, got one that runs code from the registry, and "
            "whoever can write there may have put it there. If you trust this version, name it in the suite, beside "
            f'its `uri`, as `sha256: "{model_sha256(folder)}"`'
        )
    return model


def _require_digest(model: OwnModel | PyfuncModel, sha256: str) -> None:
    found = model_sha256(model.folder)
    if found != sha256:
        raise UntrustedModelError(
            f"{model.name}: expected the files with the digest {sha256[:16]}…, as the suite names it, got those with "
            f"{found[:16]}…. Another version stands behind the reference now, or its files were changed. If you trust "
            f'it, write `sha256: "{found}"`'
        )


def _require_signed(
    server: Server, identity: ModelIdentity, trusted: TrustedKeys, model: OwnModel | PyfuncModel
) -> None:
    if not identity.is_version:
        raise SignatureError(
            f"{model.name}: {trusted.where} asks for a signature, which only versions of registered models have. Name "
            f'models:/NAME/VERSION, or the digest of the model, as `sha256: "{model_sha256(model.folder)}"`'
        )
    require_signed_model(server, find_version(server, identity.uri), trusted, model.folder)


@dataclass(frozen=True)
class ModelIdentity:
    """What a reference stands for now. version: `NAME/NUMBER`, or the reference itself where it cannot move.

    uri: the same without an alias. stated: digests of a model that mlbaseline evaluated. evaluation_run_id: of a
    version that mlbaseline registered, the run that evaluated these weights.
    """

    version: str
    uri: str
    source_run_id: str | None
    stated: ModelDigests = NO_DIGESTS
    evaluation_run_id: str | None = None

    @property
    def is_version(self) -> bool:
        """Whether it is a version of a registered model."""
        return self.version != self.uri


def find_identity(server: Server, uri: str) -> ModelIdentity | None:
    """Return what a reference stands for now; None where there is nothing. Raises TrackingError."""
    from mlflow.exceptions import MlflowException

    with reporting(f"find {uri}", server.uri):
        try:
            return _identity(server, uri)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise


def _identity(server: Server, uri: str) -> ModelIdentity:
    client = server.client
    if uri.startswith("runs:/"):
        run_id = uri.removeprefix("runs:/").partition("/")[0]
        tags = client.get_run(run_id).data.tags
        return ModelIdentity(uri, uri, run_id, ModelDigests(tags.get(MODEL_SHA256), tags.get(WEIGHTS_SHA256)))
    parts = parse_model(uri)
    if parts["path"]:
        raise TrackingError(f"{uri}: expected a model, not a path inside one")
    if parts["id"]:
        model = client.get_logged_model(parts["id"])
        # Of a prompted model, the tag about weights names those that it was prompted with, and it has none of its own.
        return ModelIdentity(uri, uri, model.source_run_id, ModelDigests(model.tags.get(MODEL_SHA256)))
    name = parts["name"]
    version = (
        client.get_model_version_by_alias(name, parts["alias"])
        if parts["alias"]
        else client.get_model_version(name, parts["version"])
    )
    evaluated = version.tags.get(EVALUATION_RUN_ID)
    number = f"{name}/{version.version}"
    stated = stated_digests(server, version)
    return ModelIdentity(number, f"models:/{number}", version.run_id or None, stated, evaluated)


@dataclass(frozen=True)
class _StoredModel:
    """folder: the model's artifacts, on this machine."""

    facts: Mapping[str, Scalar]
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.facts[FACTS + 'uri']} ({self.facts[PRODUCTION_VERSION]})"

    def own_fields(self) -> dict[str, Scalar]:
        """Return the version, its source, and the digest of its folder: a moved alias is another signature."""
        known = {f"model.{key.removeprefix(FACTS)}": value for key, value in self.facts.items()}
        return {**known, "model.sha256": sha256_of(self.folder)}

    def check_columns(self, wanted: Sequence[str], task: TaskDescription) -> None:
        missing = [column for column in wanted if column not in task.columns]
        if missing:
            raise DataError(
                f"{self.name}: needs the columns {list(wanted)}; the task has no {', '.join(map(repr, missing))} to "
                f"show it, only {list(task.columns)}. Name them in `task.columns`, as NEEDED: COLUMN"
            )


@dataclass(frozen=True)
class OwnModel(_StoredModel):
    """A model that mlbaseline promoted: answered by the engine itself, with the prompt that it was trained with."""

    served_folder: Path
    is_seeded = True
    runs_code = False
    is_in_other_process = False

    @cached_property
    def _served(self) -> Served:
        return read_served(self.served_folder)

    def signature_fields(self, task: TaskDescription) -> dict[str, Scalar]:
        """Return what its answers depend on, by the same fields as those of a rung that is computed here."""
        served, answering = self._served, self._served.answering()
        fields = {**self.own_fields(), **answering.engine_fields()}
        if answering.kind.counts_tokens:
            path, base = locate_weights(self.served_folder, served)
            fields |= answering.tokenizer_fields(base or path)
        if served.task.prompt != task.prompting.template:
            return fields | {"model.template": served.task.prompt}  # another prompt is part of what is in production
        shown = shots_text(served.task.prompt, served.shots, served.task.labels)
        fields |= Prompting(served.task.prompt, shown, len(served.shots)).signature_fields()
        chat = {"prompt.chat_template": UNKNOWN} if served.task.chat_template else {}
        return fields | chat | answering.task_fields()

    def open(self, task: TaskDescription, answers: Path | None = None) -> Model:  # noqa: ARG002  # results are cached
        served = self._served
        self.check_columns(served.columns, task)
        if (served.task.kind, served.task.labels) != (task.task.kind, task.labels):
            raise DataError(
                f"{self.name}: answers tasks of kind {served.task.kind} with the labels {list(served.task.labels)}, "
                f"and this is one of kind {task.task.kind} with {list(task.labels)}"
            )
        return load_served(self.served_folder, latency_sample=task.evaluation.latency_sample, is_checked=True)[1]


@dataclass(frozen=True)
class PyfuncModel(_StoredModel):
    """Any other model: its signature says which columns it is sent; without one it gets those of the prompt."""

    is_seeded = False
    runs_code = True
    is_in_other_process = True

    @cached_property
    def _schema(self) -> Any:
        from mlflow.models import Model as MlflowModel

        with reporting(f"read the model {self.name}", str(self.folder)):
            return MlflowModel.load(str(self.folder)).get_input_schema()

    @property
    def _takes_prompts(self) -> bool:
        """A single input without a name, as of a text-generation pipeline: that is the prompt."""
        return self._schema is not None and not self._schema.has_input_names()

    def signature_fields(self, task: TaskDescription) -> dict[str, Scalar]:
        fields = {
            **self.own_fields(),
            "engine.version": UNKNOWN,
            "engine.precision": UNKNOWN,
            **generation_fields(task.task, sent=False),
        }
        if self._takes_prompts:
            return fields | task.prompting.signature_fields()
        return fields | dict.fromkeys(("prompt.template", "prompt.chat_template", "prompt.shots"), UNKNOWN)

    def open(self, task: TaskDescription, answers: Path | None = None) -> Model:
        from mlflow.types.schema import DataType

        if task.task.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
            raise DataError(
                f"{self.name}: a model that is not mlbaseline's own answers tasks of kind choice and generate, not "
                f"{task.task.kind}; its answers can be `recorded`"
            )
        columns: dict[str, bool] = {}
        if not self._takes_prompts:
            if self._schema is None:
                columns = dict.fromkeys(placeholders(task.prompting.template), False)
            else:
                numbers = (DataType.integer, DataType.long, DataType.float, DataType.double)
                required = [spec for spec in self._schema.inputs if spec.required or spec.name in task.columns]
                columns = {spec.name: spec.type in numbers for spec in required}
            self.check_columns(list(columns), task)
        model = IsolatedModel(self.folder, self.name, takes_prompts=self._takes_prompts)
        return PyfuncPredictor(model, task, columns, None if answers is None else AnswerJournal(answers))
