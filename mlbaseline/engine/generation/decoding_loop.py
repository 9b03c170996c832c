"""Token by token: a batch of contexts, continued by a causal model with a cache of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from mlbaseline.engine.inference.forward import Head, logits_at, reading_behind
from mlbaseline.engine.inference.tokenization import Tokens

Choose = Callable[[Tensor, Sequence[int]], list[int]]
"""Logits (m, vocabulary) in fp32 and the numbers of their rows (m) ─▶ the token that each row goes on with."""
IsDone = Callable[[list[int]], bool]
"""Whether a continuation is over, its newest token included."""

_LEAVING_SHARE = 1 / 8
"""Finished rows leave when they are this share of the batch: copying the cache without them has its price too."""


def continue_rows(
    model: Any,
    contexts: Sequence[Tokens],
    *,
    head: Head | None,
    copies: int,
    choose: Choose,
    is_done: IsDone,
) -> list[list[int]]:
    """The new tokens of `copies` continuations of each context (1, 1, … 2, 2, …), that which ended them included.

    Contexts must not contain the head. They are padded on their left, so that all go on in the same column.
    """
    batch = _Batch(model, contexts, head)
    logits = batch.read()
    if copies > 1:
        batch.repeat(copies)
        logits = logits.repeat_interleave(copies, dim=0)
    texts: list[list[int]] = [[] for _ in range(len(contexts) * copies)]
    going_on = list(range(len(texts)))  # rows of the batch, by their number; finished ones until they leave
    finished: set[int] = set()
    while True:
        for row, token in zip(going_on, choose(logits, going_on), strict=True):
            if row not in finished:
                texts[row].append(token)
                if is_done(texts[row]):
                    finished.add(row)
        leaving = sum(row in finished for row in going_on)
        if leaving == len(going_on):
            return texts
        if leaving >= _LEAVING_SHARE * len(going_on):
            staying = [place for place, row in enumerate(going_on) if row not in finished]
            going_on = [going_on[place] for place in staying]
            batch.keep(staying)
        logits = batch.step([texts[row][-1] for row in going_on])


class _Batch:
    """The state of the rows between two tokens."""

    def __init__(self, model: Any, contexts: Sequence[Tokens], head: Head | None) -> None:
        self._model = model
        width, before = max(map(len, contexts)), len(head) if head else 0
        self._ids = torch.zeros(len(contexts), width, dtype=torch.long)
        self._mask = torch.ones(len(contexts), before + width, dtype=torch.long)
        for row, context in enumerate(contexts):
            self._ids[row, width - len(context) :] = torch.tensor(context)
            self._mask[row, before : before + width - len(context)] = 0
        self._cache = DynamicCache(config=model.config)
        if head:
            for layer, (keys, values) in enumerate(head.layers):
                shape = (len(contexts), -1, -1, -1)
                self._cache.update(keys.expand(shape), values.expand(shape), layer)
        self._takes_positions = "position_ids" in signature(model.forward).parameters

    def read(self) -> Tensor:
        """Read the contexts; logits behind each."""
        last = torch.full((len(self._ids),), self._ids.shape[1] - 1)
        with logits_at(self._model, torch.arange(len(self._ids)), last):
            return self._forward(self._ids)[0]

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Read one more token of every row; logits behind each."""
        self._mask = torch.cat([self._mask, torch.ones(len(tokens), 1, dtype=torch.long)], dim=1)
        return self._forward(torch.tensor(tokens).unsqueeze(1))[:, 0]

    def repeat(self, copies: int) -> None:
        self._cache.batch_repeat_interleave(copies)
        self._mask = self._mask.repeat_interleave(copies, dim=0)

    def keep(self, rows: Sequence[int]) -> None:
        chosen = torch.tensor(rows)
        self._cache.batch_select_indices(chosen.to(self._model.device))
        self._mask = self._mask[chosen]

    def _forward(self, ids: Tensor) -> Tensor:
        device = self._model.device
        beside: dict[str, Any] = {}
        if self._takes_positions:
            positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            beside = {"position_ids": positions.to(device)}
        with torch.inference_mode():
            logits: Tensor = self._model(
                input_ids=ids.to(device),
                attention_mask=self._mask.to(device),
                **reading_behind(self._model, self._cache),
                **beside,
            ).logits
            return logits.float()


def most_likely(logits: Tensor, _: Sequence[int]) -> list[int]:
    """The token with the highest logit, the first of equal ones."""
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    return tokens


def drawn(generators: Sequence[np.random.Generator], temperature: float) -> Choose:
    """Tokens drawn with the probabilities at a temperature (> 0). generators: one of its own for every row, so that
    what a row draws does not depend on the rows beside it."""

    def choose(logits: Tensor, rows: Sequence[int]) -> list[int]:
        shares = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1)
        points = torch.tensor([generators[row].random() for row in rows], dtype=torch.float64, device=shares.device)
        places = torch.searchsorted(shares, (points * shares[:, -1]).unsqueeze(1), right=True)
        tokens: list[int] = places[:, 0].clamp(max=logits.shape[-1] - 1).tolist()
        return tokens

    return choose
