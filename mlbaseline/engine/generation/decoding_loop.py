"""Token by token: continues a batch of contexts by a causal model, with a cache of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from mlbaseline.engine.inference.shared_prefix import SharedPrefix, cache_arguments, input_device, logits_at
from mlbaseline.engine.inference.tokenization import Tokens

SelectTokens = Callable[[Tensor, Sequence[int]], list[int]]
"""Logits (m, vocabulary) in fp32 and the numbers of their rows (m) ─▶ the next token of each row."""
IsFinished = Callable[[list[int]], bool]
"""Whether a text is complete, its newest token included."""

_LEAVING_SHARE = 1 / 8
"""Finished rows leave when they are this share of the batch: copying the cache without them has its price, too."""


def decode(
    model: Any,
    contexts: Sequence[Tokens],
    *,
    prefix: SharedPrefix | None,
    n_samples: int,
    select_tokens: SelectTokens,
    is_finished: IsFinished,
) -> list[list[int]]:
    """Generate `n_samples` texts behind each context.

    Contexts are padded on their left, so that all rows continue in the same column.

    Args:
        model: causal language model.
        contexts: tokens of each, without the shared prefix.
        prefix: stands before every context.
        n_samples: texts of each context.
        select_tokens: chooses the next token of each row.
        is_finished: tells when a text is complete.

    Returns:
        The new tokens of each text, the last one included: all texts of the first context, then of the second, …
    """
    state = _DecodingState(model, contexts, prefix)
    logits = state.prefill()
    if n_samples > 1:
        state.repeat_rows(n_samples)
        logits = logits.repeat_interleave(n_samples, dim=0)
    texts: list[list[int]] = [[] for _ in range(len(contexts) * n_samples)]
    rows = list(range(len(texts)))  # rows of the batch, by their text; finished ones until they leave
    finished: set[int] = set()
    while True:
        for row, token in zip(rows, select_tokens(logits, rows), strict=True):
            if row not in finished:
                texts[row].append(token)
                if is_finished(texts[row]):
                    finished.add(row)
        n_leaving = sum(row in finished for row in rows)
        if n_leaving == len(rows):
            return texts
        if n_leaving >= _LEAVING_SHARE * len(rows):
            staying = [index for index, row in enumerate(rows) if row not in finished]
            rows = [rows[index] for index in staying]
            state.select_rows(staying)
        logits = state.step([texts[row][-1] for row in rows])


class _DecodingState:
    """What is known of the rows between two tokens: attention mask, keys and values."""

    def __init__(self, model: Any, contexts: Sequence[Tokens], prefix: SharedPrefix | None) -> None:
        self._model, self._device = model, input_device(model)
        width, before = max(map(len, contexts)), len(prefix) if prefix else 0
        self._ids = torch.zeros(len(contexts), width, dtype=torch.long)
        self._mask = torch.ones(len(contexts), before + width, dtype=torch.long)
        for row, context in enumerate(contexts):
            self._ids[row, width - len(context) :] = torch.tensor(context)
            self._mask[row, before : before + width - len(context)] = 0
        self._cache = DynamicCache(config=model.config)
        if prefix:
            for layer, (keys, values) in enumerate(prefix.layers):
                shape = (len(contexts), -1, -1, -1)
                self._cache.update(keys.expand(shape), values.expand(shape), layer)
        self._takes_positions = "position_ids" in signature(model.forward).parameters

    def prefill(self) -> Tensor:
        """Compute the contexts; return the logits behind each."""
        last = torch.full((len(self._ids),), self._ids.shape[1] - 1)
        with logits_at(self._model, torch.arange(len(self._ids)), last):
            return self._forward(self._ids)[0]

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Compute one more token of every row; return the logits behind each."""
        self._mask = torch.cat([self._mask, torch.ones(len(tokens), 1, dtype=torch.long)], dim=1)
        return self._forward(torch.tensor(tokens).unsqueeze(1))[:, 0]

    def repeat_rows(self, n: int) -> None:
        """Repeat every row n times."""
        self._cache.batch_repeat_interleave(n)
        self._mask = self._mask.repeat_interleave(n, dim=0)

    def select_rows(self, rows: Sequence[int]) -> None:
        """Drop all other rows."""
        indices = torch.tensor(rows)
        # Where the layers lie on several devices, so do their keys and values; indices on the CPU suit all of them.
        is_on_one_device = not hasattr(self._model, "hf_device_map")
        self._cache.batch_select_indices(indices.to(self._device) if is_on_one_device else indices)
        self._mask = self._mask[indices]

    def _forward(self, ids: Tensor) -> Tensor:
        device = self._device
        positions: dict[str, Tensor] = {}
        if self._takes_positions:
            counted = (self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            positions = {"position_ids": counted.to(device)}
        with torch.inference_mode():
            logits: Tensor = self._model(
                input_ids=ids.to(device),
                attention_mask=self._mask.to(device),
                **cache_arguments(self._model, self._cache),
                **positions,
            ).logits
            return logits.float()


def greedy(logits: Tensor, _: Sequence[int]) -> list[int]:
    """Select the token with the highest logit, the first of equal ones."""
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    return tokens


def sampler(generators: Sequence[np.random.Generator], temperature: float) -> SelectTokens:
    """Make a function that draws tokens by their probabilities at a temperature.

    Args:
        generators: one for every row, so that what a row draws does not depend on the rows beside it.
        temperature: > 0.
    """

    def select(logits: Tensor, rows: Sequence[int]) -> list[int]:
        cumulative = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1)
        draws = [generators[row].random() for row in rows]
        points = torch.tensor(draws, dtype=torch.float64, device=cumulative.device)
        places = torch.searchsorted(cumulative, (points * cumulative[:, -1]).unsqueeze(1), right=True)
        tokens: list[int] = places[:, 0].clamp(max=logits.shape[-1] - 1).tolist()
        return tokens

    return select
