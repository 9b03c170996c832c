"""What is in production: a registered model, or an endpoint that answers over HTTP."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from mlbaseline.suite.node import Baseline, Node, Sha256

Protocol = Literal["mlflow", "completions", "chat"]
ChooseBy = Literal["loglik", "constrained", "generate"]

_PATHS: dict[str, str] = {
    "mlflow": "/invocations",
    "completions": "/v1/completions",
    "chat": "/v1/chat/completions",
}
_OF_GENERATION = ("model", "choose_by", "max_new_tokens", "temperature", "seed", "stream")
OF_CHOICES = ("choose_by", "max_new_tokens", "temperature", "seed")
"""What a task of kind `generate` says itself."""
HOW_ASKED = {"api_key_env", "timeout_s", "retries", "max_concurrency"}
_VARIABLE = re.compile(r"^[A-Z_][A-Z0-9_]*$")


class Endpoint(Node):
    """A server that answers over HTTP."""

    url: Annotated[str, Field(min_length=1)]
    """Address of the server, as http(s)://HOST[:PORT][/PATH]. The protocol's own path is added where it is missing."""
    protocol: Protocol
    """What is sent: `mlflow` (`/invocations`), `completions` or `chat` (OpenAI's routes)."""
    model: Annotated[str, Field(min_length=1)] | None = None
    """Name of the model on the server."""
    choose_by: ChooseBy | None = None
    """How a choice is made. `loglik`: by the log-likelihood of each choice (default of `completions`; the server must
    echo the prompt's log-probabilities). `constrained`: by generation that the server constrains to the choices
    (`response_format`). `generate`: by plain generation that must be a choice, or begin with one (default of `chat`).
    """
    api_key_env: str | None = None
    """Name of the environment variable that holds the key. A key in the file is an error."""
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Time limit of one attempt, in seconds."""
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    """Number of further attempts after the first."""
    max_concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    """Largest number of requests at the same time."""
    stream: bool = False
    """If true, answers are streamed and the latency of the first token is recorded."""
    max_new_tokens: PositiveInt = 32
    """For choices: largest number of generated tokens. For texts, `task.max_new_tokens` says it."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """For choices: sampling temperature. Above 0 and without `seed`, the rung runs once per seed. For texts,
    `task.temperature` says it.
    """
    seed: Annotated[int, Field(ge=0)] | None = None
    """For choices: seed that is sent with every request."""

    @field_validator("url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query or parts.fragment:
            # Whatever stands there is not repeated: it may be a key.
            raise ValueError(
                "expected http(s)://HOST[:PORT][/PATH] alone; a key belongs into an environment variable, named by "
                "`api_key_env`"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected http(s)://HOST[:PORT][/PATH], got {url!r}")
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not _VARIABLE.match(name):
            raise ValueError(
                "expected the name of an environment variable (capital letters, digits, underscores), not a key: a key "
                "in a file is a key given away. If this was one, replace it"
            )
        return name

    @model_validator(mode="after")
    def _fitting(self) -> Endpoint:
        given = [name for name in _OF_GENERATION if getattr(self, name) != Endpoint.model_fields[name].default]
        if self.protocol == "mlflow" and given:
            raise ValueError(f"`{given[0]}` goes with completions and chat; MLflow serves a model as it was logged")
        if self.protocol == "chat" and self.choose_by == "loglik":
            raise ValueError("chat gives no log-likelihoods of a prompt: choose by `constrained` or `generate`")
        return self

    @property
    def choosing(self) -> str:
        """How a choice is made: `choose_by`, or the protocol's default; `label` where the model says it itself."""
        if self.protocol == "mlflow":
            return "label"
        return self.choose_by or ("loglik" if self.protocol == "completions" else "generate")

    @property
    def address(self) -> str:
        """Where requests go."""
        path = _PATHS[self.protocol]
        if self.url.endswith(path):
            return self.url
        return self.url + (path.removeprefix("/v1") if self.url.endswith("/v1") else path)


class Production(Baseline):
    """What users get today: a registered model or an endpoint."""

    kind: Literal["production"]
    """The model that users get today."""
    uri: Annotated[str, Field(pattern=r"^(models|runs):/.+")] | None = None
    """Registered model: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/RUN_ID/PATH`. Excludes `endpoint`."""
    sha256: Sha256 | None = None
    """Digest that all files of the registered model must have together, as 64 hexadecimal digits. A model that would
    run code from the registry needs it, unless its version is signed by a key of `gates.signed_by`.
    """
    endpoint: Endpoint | None = None
    """Server that answers over HTTP. Excludes `uri`."""
    optional: bool = False
    """If true, the rung is left out while no such model exists yet."""

    @property
    def is_random(self) -> bool:
        return self.endpoint is not None and self.endpoint.temperature > 0 and self.endpoint.seed is None

    def distinguishing(self) -> dict[str, Any]:
        """Leave out what changes no answer: how an endpoint is asked, and the digest, which the signature has, too."""
        return self.model_dump(mode="json", exclude={"optional": True, "sha256": True, "endpoint": HOW_ASKED})

    @model_validator(mode="after")
    def _one_way(self) -> Production:
        if (self.uri is None) == (self.endpoint is None):
            raise ValueError("give one of `uri` (a registered model), `endpoint` and `recorded`")
        if self.optional and self.uri is None:
            raise ValueError("`optional` goes with `uri`: an endpoint that does not answer is no absent model")
        if self.sha256 is not None and self.uri is None:
            raise ValueError("`sha256` goes with `uri`: the files of an endpoint's model are not seen from here")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_what_is_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a key that came after suites were first digested, where the suite does not use it."""
        content: dict[str, Any] = serialize(self)
        return content if self.sha256 else {key: value for key, value in content.items() if key != "sha256"}
