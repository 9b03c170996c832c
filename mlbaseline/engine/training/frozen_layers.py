"""What frozen layers make of an example, computed once: not again in every epoch, nor for every seed.

An adapter in the last layers leaves those before them as they are, and what they hand on never changes. They are run
once over all examples; from then on a step begins at the first layer that learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from mlbaseline.engine.inference.batching import make_batches
from mlbaseline.engine.inference.tokenization import Tokens

LIMIT_BYTES = 1 << 30
"""Above this the frozen layers are rather computed again: what they hand on is kept in memory."""
_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Frozen:
    """layers: those before `first`, none of which learns. states: of a row of tokens, (tokens, width) each."""

    layers: tuple[nn.Module, ...]
    first: nn.Module
    states: dict[Tokens, Tensor]

    @contextmanager
    def skipped(self, rows: Sequence[Tokens]) -> Iterator[None]:
        """Within the block, the model reads a batch of `rows`, padded on their right, from `first` on."""
        hidden = nn.utils.rnn.pad_sequence([self.states[row] for row in rows], batch_first=True)

        def begin(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            return (hidden.to(args[0].device), *args[1:])

        hook = self.first.register_forward_pre_hook(begin)
        for layer in self.layers:
            layer.forward = lambda hidden_states, *_, **__: hidden_states
        try:
            yield
        finally:
            hook.remove()
            for layer in self.layers:
                del layer.forward


def find_frozen(model: Any, rows: Sequence[Tokens], sharing: str) -> Frozen | None:
    """The layers of `model` that need not run again for these rows; None where there are none, or it does not pay.

    Only where each layer gives nothing but hidden states, nothing is dropped at random, and nothing before the layers
    learns. sharing: names base, data and precision; what was computed for the last such name is used again.
    """
    layers = _decoder_layers(model)
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
    kept = _kept(f"{sharing} {len(below)}")
    if not kept:
        states = _run(model, below, first, sorted(set(rows), key=lambda row: (len(row), row)))
        if states is None:
            return None
        kept |= states
    return Frozen(tuple(below), first, kept)


@lru_cache(maxsize=1)
def _kept(_: str) -> dict[Tokens, Tensor]:
    return {}


def _decoder_layers(model: Any) -> list[nn.Module]:
    count = model.config.get_text_config().num_hidden_layers
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    return list(lists[0]) if len(lists) == 1 else []


class _Reached(Exception):
    """The layers below have done their part."""


@torch.no_grad()
def _run(
    model: Any, below: Sequence[nn.Module], first: nn.Module, rows: Sequence[Tokens]
) -> dict[Tokens, Tensor] | None:
    given: list[Any] = []

    def stop(*_: Any) -> None:
        raise _Reached

    hooks = [
        below[-1].register_forward_hook(lambda _, __, output: given.append(output)),
        first.register_forward_pre_hook(stop),
    ]
    states: dict[Tokens, Tensor] = {}
    try:
        for batch in make_batches([len(row) for row in rows], _BATCH_TOKENS):
            ids = nn.utils.rnn.pad_sequence([torch.tensor(rows[index]) for index in batch], batch_first=True)
            with suppress(_Reached):
                model(input_ids=ids.to(model.device), use_cache=False)
            hidden = given.pop()
            if not isinstance(hidden, Tensor):
                return None
            hidden = hidden.cpu()
            states |= {rows[index]: hidden[place, : len(rows[index])].clone() for place, index in enumerate(batch)}
    finally:
        for hook in hooks:
            hook.remove()
    return states
