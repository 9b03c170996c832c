"""Rungs that are fine-tunes of another rung's model: trained here, or ready from earlier."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, PositiveInt, model_validator

from mlbaseline.suite.node import Asset, Baseline, MetricName, Name, Node

SHARDED = {
    "ddp": "none",
    "fsdp": "weights, gradients, moments",
    "zero2": "gradients, moments",
    "zero3": "weights, gradients, moments",
}
"""Strategy ─▶ what each process has only a part of."""


class DistributedTraining(Node):
    """Several processes of this machine that train one model together."""

    added_later: ClassVar[frozenset[str]] = frozenset({"offload"})

    launcher: Literal["torchrun"] = "torchrun"
    """What starts the processes, and ends all of them where one fails."""
    processes: PositiveInt
    """Number of processes. With GPUs, each takes one of its own and they communicate by NCCL; else by Gloo."""
    strategy: Literal["ddp", "fsdp", "zero2", "zero3"] = "ddp"
    """What is split between the processes. `ddp`: nothing, each has the whole model. `fsdp`: weights, gradients and
    moments (FSDP2 of torch). `zero2`: gradients and moments; `zero3`: weights as well (DeepSpeed, which needs GPUs and
    the extra `deepspeed`).
    """
    offload: bool = False
    """If true, what is split stays in the memory of the machine while a GPU does not compute with it. Not with `ddp`.
    """

    @property
    def needs_deepspeed(self) -> bool:
        """Whether DeepSpeed trains."""
        return self.strategy in ("zero2", "zero3")

    @property
    def sharded(self) -> str:
        """What each process has only a part of."""
        return SHARDED[self.strategy]

    @model_validator(mode="after")
    def _has_what_it_offloads(self) -> DistributedTraining:
        if self.offload and self.strategy == "ddp":
            raise ValueError(
                "offload: `ddp` leaves all weights on every device; choose `strategy: fsdp`, or leave it out"
            )
        return self


class Training(Baseline):
    """Options of the training loop."""

    added_later: ClassVar[frozenset[str]] = frozenset({"training"})

    base: Name
    """Name of the pretrained baseline whose model is fine-tuned."""
    epochs: Annotated[int, Field(ge=1)] = 2
    """Number of passes over `train`. The epoch with the best `select` on `dev` is kept."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Peak learning rate of AdamW."""
    batch_size: PositiveInt = 16
    """Examples per optimiser step, gradient accumulation included."""
    gradient_accumulation: PositiveInt = 1
    """Number of forward and backward passes per optimiser step. It must divide `batch_size`."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps during which the learning rate rises from 0 to its peak."""
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    """Shape of the learning rate after warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of AdamW."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Norm to which gradients are clipped."""
    gradient_checkpointing: bool = False
    """If true, activations are recomputed in the backward pass: less memory, more time."""
    select: MetricName = "accuracy"
    """Metric on `dev` by which the epoch is chosen."""
    training: DistributedTraining | None = None
    """Several processes that train together. Without it, one process trains."""

    @property
    def is_random(self) -> bool:
        return True

    @model_validator(mode="after")
    def _has_rows_for_every_process(self) -> Training:
        rows, processes = self.batch_size // self.gradient_accumulation, self.training.processes if self.training else 1
        if rows < processes:
            raise ValueError(
                f"training.processes: expected at most {rows}, the examples of one pass (batch_size / "
                f"gradient_accumulation), got {processes}"
            )
        return self

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
    """A parameter-efficient fine-tune of a pretrained baseline, trained here."""
    method: str
    """Method of the fine-tune."""

    @property
    def method_name(self) -> str:
        """How a report calls it."""
        return self.method


class Lora(Peft):
    """LoRA: low-rank matrices beside the linear layers."""

    method: Literal["lora"]
    """Low-rank adaptation."""
    rank: PositiveInt = 16
    """Rank of the added matrices."""
    alpha: Annotated[float, Field(gt=0)] = 32
    """Scale of the added matrices: alpha / rank, or alpha / √rank with `rslora`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability on the adapter's input."""
    target_modules: str | tuple[str, ...] = ALL_LINEAR
    """Modules that get an adapter: `all-linear`, a regular expression, or a list of names."""
    last_layers: PositiveInt | None = None
    """Adapt only this many layers, the last ones. No gradient goes back through those before them."""
    rslora: bool = False
    """If true, scale by alpha / √rank (rank-stabilised LoRA)."""
    dora: bool = False
    """If true, learn direction and magnitude of the weights separately (DoRA)."""

    @property
    def method_name(self) -> str:
        return " ".join(["lora", *["rslora"] * self.rslora, *["dora"] * self.dora])

    @model_validator(mode="after")
    def _named_modules(self) -> Lora:
        if self.last_layers is not None and isinstance(self.target_modules, str) and self.target_modules != ALL_LINEAR:
            raise ValueError(f"`last_layers` goes with target_modules {ALL_LINEAR!r} or a list of names, not a pattern")
        return self


class Ia3(Peft):
    """IA3: learned factors on the outputs of some linear layers, and on the inputs of the feed-forward ones.

    By default peft chooses the modules by architecture: keys, values and the second feed-forward layer.
    """

    method: Literal["ia3"]
    """Learned factors on activations (IA3)."""
    target_modules: tuple[str, ...] | None = None
    """Modules whose activations are scaled. Give it together with `feedforward_modules`, or neither: then peft chooses
    by architecture.
    """
    feedforward_modules: tuple[str, ...] | None = None
    """Those of `target_modules` whose inputs are scaled in place of their outputs."""

    @model_validator(mode="after")
    def _named_together(self) -> Ia3:
        if (self.target_modules is None) != (self.feedforward_modules is None):
            raise ValueError("give both `target_modules` and `feedforward_modules` ([] for none), or neither")
        if not set(self.feedforward_modules or ()) <= set(self.target_modules or ()):
            raise ValueError("`feedforward_modules` must be among `target_modules`")
        return self


class PromptTuning(Peft):
    """Prompt tuning: learned embeddings in front of every prompt."""

    method: Literal["prompt_tuning"]
    """Learned embeddings in front of every prompt."""
    virtual_tokens: PositiveInt = 16
    """Number of learned embeddings."""
    init_text: Annotated[str, Field(min_length=1)] | None = None
    """Text whose embeddings are the start, repeated or cut to fit. Without it, the start is drawn by seed."""


class PrefixTuning(Peft):
    """Prefix tuning: learned keys and values in front of every prompt, in every layer."""

    method: Literal["prefix_tuning"]
    """Learned keys and values in front of every prompt, in every layer."""
    virtual_tokens: PositiveInt = 16
    """Number of learned positions."""
    init_text: Annotated[str, Field(min_length=1)] | None = None
    """Text whose keys and values are the start. Without it, the start is drawn by seed."""

    @model_validator(mode="after")
    def _no_checkpointing(self) -> PrefixTuning:
        if self.gradient_checkpointing:
            raise ValueError("gradient_checkpointing drops keys and values, and with them the prefix")
        return self


SET_BY_ENGINE = frozenset(
    {"peft_type", "task_type", "inference_mode", "base_model_name_or_path", "revision", "auto_mapping", "peft_version"}
)


class OtherPeft(Peft):
    """Any other method of the library peft, by the name of its configuration class."""

    method: Literal["peft"]
    """Any other method of the library peft."""
    config: Annotated[str, Field(pattern=r"^[A-Z]\w*Config$")]
    """Name of the method's configuration class in peft, such as `VeraConfig`."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the configuration class."""

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
    """A fine-tune of all weights of a pretrained baseline, trained here."""

    @property
    def method_name(self) -> str:
        return "full"


class ReadyAdapter(Baseline):
    """An adapter that was trained before, for another baseline's model."""

    kind: Literal["peft"]
    """An adapter that was trained before."""
    adapter: Asset
    """The adapter: a folder or any other asset reference, with safetensors weights."""
    base: Name
    """Name of the pretrained baseline whose model the adapter belongs to."""

    @property
    def method_name(self) -> str:
        return "adapter, ready"


class ReadyModel(Baseline):
    """An earlier checkpoint of all weights."""

    kind: Literal["full"]
    """A checkpoint of all weights that was trained before."""
    model: Asset
    """The checkpoint: a folder, a GGUF file or any other asset reference."""

    @property
    def method_name(self) -> str:
        return "full, ready"


TrainedSpec = Lora | Ia3 | PromptTuning | PrefixTuning | OtherPeft | Full
ReadySpec = ReadyAdapter | ReadyModel
