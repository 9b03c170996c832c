"""Rungs that are fine-tunes of another rung's model: trained here, or ready from earlier."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, PositiveInt, model_validator

from mlbaseline.suite.nodes import Asset, Baseline, MetricName, Name


class Training(Baseline):
    """Options of the training loop. batch_size counts examples per optimiser step, all accumulation included."""

    base: Name
    epochs: Annotated[int, Field(ge=1)] = 2
    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: PositiveInt = 16
    gradient_accumulation: PositiveInt = 1
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    gradient_checkpointing: bool = False
    select: MetricName = "accuracy"

    @property
    def is_random(self) -> bool:
        return True

    @model_validator(mode="after")
    def _divides(self) -> Training:
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"gradient_accumulation ({self.gradient_accumulation}) must divide batch_size ({self.batch_size})"
            )
        return self


ALL_LINEAR = "all-linear"


class Peft(Training):
    """A parameter-efficient fine-tune of another baseline's model; each method is a class with options of its own."""

    kind: Literal["peft"]
    method: str

    @property
    def method_name(self) -> str:
        """How a report calls it."""
        return self.method


class Lora(Peft):
    """Low-rank matrices beside the linear layers.

    rslora: scaled by alpha/√rank instead of alpha/rank. dora: direction and magnitude of the weights apart.
    last_layers: adapt only this many layers, the last ones; nothing is carried back through those before them.
    """

    method: Literal["lora"]
    rank: PositiveInt = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | tuple[str, ...] = ALL_LINEAR
    last_layers: PositiveInt | None = None
    rslora: bool = False
    dora: bool = False

    @property
    def method_name(self) -> str:
        return " ".join(["lora", *["rslora"] * self.rslora, *["dora"] * self.dora])

    @model_validator(mode="after")
    def _named_modules(self) -> Lora:
        if self.last_layers is not None and isinstance(self.target_modules, str) and self.target_modules != ALL_LINEAR:
            raise ValueError(f"`last_layers` goes with target_modules {ALL_LINEAR!r} or a list of names, not a pattern")
        return self


class Ia3(Peft):
    """Learned factors on the outputs of some linear layers, and on the inputs of the feed-forward ones.

    Both left out: what peft knows for the architecture (keys, values and the second feed-forward layer).
    """

    method: Literal["ia3"]
    target_modules: tuple[str, ...] | None = None
    feedforward_modules: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _named_together(self) -> Ia3:
        if (self.target_modules is None) != (self.feedforward_modules is None):
            raise ValueError("give both `target_modules` and `feedforward_modules` ([] for none), or neither")
        if not set(self.feedforward_modules or ()) <= set(self.target_modules or ()):
            raise ValueError("`feedforward_modules` must be among `target_modules`")
        return self


class PromptTuning(Peft):
    """Learned embeddings in front of every prompt.

    init_text: start from the embeddings of this text, repeated or cut to fit; without it from tokens drawn by seed.
    """

    method: Literal["prompt_tuning"]
    virtual_tokens: PositiveInt = 16
    init_text: Annotated[str, Field(min_length=1)] | None = None


class PrefixTuning(Peft):
    """Learned keys and values in front of every prompt, in every layer.

    init_text: start from the keys and values of this text; without it from those of tokens drawn by seed.
    """

    method: Literal["prefix_tuning"]
    virtual_tokens: PositiveInt = 16
    init_text: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _no_checkpointing(self) -> PrefixTuning:
        if self.gradient_checkpointing:
            raise ValueError("gradient_checkpointing drops keys and values, and with them the prefix")
        return self


SET_BY_ENGINE = frozenset(
    {"peft_type", "task_type", "inference_mode", "base_model_name_or_path", "revision", "auto_mapping", "peft_version"}
)


class OtherPeft(Peft):
    """Any other method of the library peft. config: the name of its configuration class, with its `options`."""

    method: Literal["peft"]
    config: Annotated[str, Field(pattern=r"^[A-Z]\w*Config$")]
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def method_name(self) -> str:
        return self.config.removesuffix("Config")

    @model_validator(mode="after")
    def _ours(self) -> OtherPeft:
        if taken := sorted(SET_BY_ENGINE & self.options.keys()):
            raise ValueError(f"options: {', '.join(taken)}: not for the suite to set")
        return self


class Full(Training):
    """A fine-tune of all weights of another baseline's model: the high-water mark."""

    kind: Literal["full"]

    @property
    def method_name(self) -> str:
        return "full"


class ReadyAdapter(Baseline):
    """An adapter that was trained before, for another baseline's model."""

    kind: Literal["peft"]
    adapter: Asset
    base: Name

    @property
    def method_name(self) -> str:
        return "adapter, ready"


class ReadyModel(Baseline):
    """An earlier checkpoint of all weights."""

    kind: Literal["full"]
    model: Asset

    @property
    def method_name(self) -> str:
        return "full, ready"


TrainedSpec = Lora | Ia3 | PromptTuning | PrefixTuning | OtherPeft | Full
ReadySpec = ReadyAdapter | ReadyModel
