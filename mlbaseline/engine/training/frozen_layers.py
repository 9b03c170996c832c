"""Outputs of frozen layers, computed once for each example, not in every epoch and for every seed.

An adapter in the last layers leaves the layers before it as they are, and their outputs never change. They are computed
once for all examples; from then on a step begins at the first layer that learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from mlbaseline.engine.inference.batching import make_padded_batches
from mlbaseline.engine.inference.tokenization import Tokens

LIMIT_BYTES = 1 << 30
"""The outputs stay in memory; if they take more than this, the frozen layers run in every step."""
_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class FrozenLayers:
    """Layers before an adapter, and their outputs.

    Attributes:
        layers: none of them learns.
        first: the first layer behind them.
        states: input tokens ─▶ hidden states that `first` receives, (tokens, width).
    """

    layers: tuple[nn.Module, ...]
    first: nn.Module
    states: dict[Tokens, Tensor]

    @contextmanager
    def skipped(self, rows: Sequence[Tokens]) -> Iterator[None]:
        """Within the block, let the model compute a batch of `rows`, padded on their right, from `first` on."""
        hidden = nn.utils.rnn.pad_sequence([self.states[row] for row in rows], batch_first=True)

        def replace_input(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            return (hidden.to(args[0].device), *args[1:])

        hook = self.first.register_forward_pre_hook(replace_input)
        for layer in self.layers:
            layer.forward = lambda hidden_states, *_, **__: hidden_states
        try:
            yield
        finally:
            hook.remove()
            for layer in self.layers:
                del layer.forward


def find_frozen_layers(model: Any, rows: Sequence[Tokens], cache_key: str) -> FrozenLayers | None:
    """Compute the frozen layers of a model that need not run again.

    They need not where each layer outputs nothing but hidden states, there is no dropout, and nothing before the
    layers learns.

    Args:
        model: with its adapter.
        rows: input tokens of all examples.
        cache_key: names base, data and precision; the outputs of the last key are used again.

    Returns:
        None where there are no such layers, or their outputs take too much memory.
    """
    layers = decoder_layers(model)
    learning = [index for index, layer in enumerate(layers) if any(p.requires_grad for p in layer.parameters())]
    if not learning or not learning[0] or any(p.requires_grad for p in model.get_input_embeddings().parameters()):
        return None
    config = model.config.get_text_config()
    if any("drop" in name and value for name, value in config.to_dict().items() if isinstance(value, int | float)):
        return None
    width = config.hidden_size
    if sum(map(len, rows)) * width * model.dtype.itemsize > LIMIT_BYTES:
        return None
    below, first = layers[: learning[0]], layers[learning[0]]
    cached = _cached_states(f"{cache_key} {len(below)}")
    if not cached:
        states = _run(model, below, first, sorted(set(rows), key=lambda row: (len(row), row)))
        if states is None:
            return None
        cached |= states
    return FrozenLayers(tuple(below), first, cached)


@lru_cache(maxsize=1)
def _cached_states(_: str) -> dict[Tokens, Tensor]:
    return {}


def decoder_layers(model: Any) -> list[nn.Module]:
    """Find the layers of a model, in their order; none where it is not clear which list of modules they are."""
    count = model.config.get_text_config().num_hidden_layers
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    return list(lists[0]) if len(lists) == 1 else []


class _StopForward(Exception):
    """The frozen layers are computed."""


@torch.no_grad()
def _run(
    model: Any, below: Sequence[nn.Module], first: nn.Module, rows: Sequence[Tokens]
) -> dict[Tokens, Tensor] | None:
    outputs: list[Any] = []

    def stop(*_: Any) -> None:
        raise _StopForward

    hooks = [
        below[-1].register_forward_hook(lambda _, __, output: outputs.append(output)),
        first.register_forward_pre_hook(stop),
    ]
    states: dict[Tokens, Tensor] = {}
    try:
        for batch in make_padded_batches([len(row) for row in rows], _BATCH_TOKENS):
            ids = nn.utils.rnn.pad_sequence([torch.tensor(rows[index]) for index in batch], batch_first=True)
            with suppress(_StopForward):
                model(input_ids=ids.to(model.device), use_cache=False)
            hidden = outputs.pop()
            if not isinstance(hidden, Tensor):
                return None
            hidden = hidden.cpu()
            states |= {rows[index]: hidden[place, : len(rows[index])].clone() for place, index in enumerate(batch)}
    finally:
        for hook in hooks:
            hook.remove()
    return states
