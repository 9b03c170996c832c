"""One pass of a causal model over rows that share their context among several choices, and over a shared head.

A row is a context and, behind it, the choices that follow it: all are read in one pass, each choice seeing the context
and itself only. What all rows begin with (instruction, few-shot examples) is read once and kept as keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from mlbaseline.engine.encoding import Branch, Tokens


@dataclass(frozen=True, slots=True)
class Row:
    """example: position of the example it belongs to. A choice's last token is predicted, never read."""

    example: int
    context: Tokens
    branches: tuple[Branch, ...]

    def __len__(self) -> int:
        return len(self.context) + sum(len(branch.tokens) - 1 for branch in self.branches)

    @property
    def is_tree(self) -> bool:
        """Whether choices must be kept from seeing each other."""
        return len(self.branches) > 1 and any(len(branch.tokens) > 1 for branch in self.branches)

    def without(self, n_tokens: int) -> Row:
        """The row without the first tokens of its context."""
        return Row(self.example, self.context[n_tokens:], self.branches)


@dataclass(frozen=True)
class Head:
    """Keys and values that stand before many rows, computed once.

    tokens: what the rows begin with. Before them may lie what an adapter puts in front, which has no tokens.
    """

    tokens: Tokens
    layers: tuple[tuple[Tensor, Tensor], ...]

    def __len__(self) -> int:
        """Places that it takes, those without tokens included."""
        return int(self.layers[0][0].shape[-2])

    def cache(self) -> Cache:
        """A cache that stands in front of every row of a batch and keeps nothing of the batch."""
        return Cache(layers=[_HeadLayer(keys, values) for keys, values in self.layers])


class _HeadLayer(DynamicLayer):  # type: ignore[misc]
    """Puts the head before a layer's keys and values, for one layer at a time and not for all as a full cache would."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        def join(head: Tensor, states: Tensor) -> Tensor:
            return torch.cat([head.expand(len(states), -1, -1, -1), states], dim=-2)

        return join(self.keys, key_states), join(self.values, value_states)


def can_share(model: Any) -> bool:
    """Whether rows may hold several choices and follow a head: every layer attends to everything before it.

    Not with sliding windows, recurrent layers, or positions that the model counts by itself (ALiBi).
    """
    layers = DynamicCache(config=model.config).layers
    return (
        all(type(layer) is DynamicLayer for layer in layers)
        and not getattr(model.config, "alibi", False)
        and "position_ids" in signature(model.forward).parameters
    )


def without_adapter(model: Any) -> tuple[Any, Head | None]:
    """The model inside of an adapted one that can be asked in its place, and what stands before all that it reads.

    What prompt and prefix tuning put in front of every prompt never changes: read once, it is a head without tokens.
    A method that works inside of the layers leaves the model itself to be asked. Where neither holds, and where a
    model cannot follow a head (see `can_share`), the adapted model is asked as it is.
    """
    if not hasattr(model, "get_base_model"):
        return model, None
    from peft.tuners.tuners_utils import BaseTuner

    inner = model.get_base_model()
    if not model.active_peft_config.is_prompt_learning:
        return (inner if type(model.base_model).forward is BaseTuner.forward else model), None
    if not can_share(inner):
        return model, None
    with torch.inference_mode():
        cache = model.get_prompt(batch_size=1)
        if isinstance(cache, Tensor):
            embeddings, cache = cache.to(inner.dtype), DynamicCache(config=inner.config)
            with logits_at(inner, torch.tensor([0]), torch.tensor([0])):
                inner(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
    return inner, Head((), tuple((layer.keys, layer.values) for layer in cache.layers))


def read_head(model: Any, tokens: Tokens, front: Head | None = None) -> Head:
    """Compute the keys and values of `tokens`, which stand behind `front`."""
    cache = DynamicCache(config=model.config)
    with torch.inference_mode(), logits_at(model, torch.tensor([0]), torch.tensor([0])):
        for index, (keys, values) in enumerate(front.layers if front else ()):
            cache.update(keys, values, index)
        model(input_ids=torch.tensor([tokens], device=model.device), past_key_values=cache, use_cache=True)
    return Head(tokens, tuple((layer.keys, layer.values) for layer in cache.layers))


def score_rows(model: Any, rows: Sequence[Row], head: Head | None = None) -> list[list[float]]:
    """Log-likelihood (nats) of every branch of every row, in their order. Rows must not contain the head."""
    width, before = max(map(len, rows)), len(head) if head else 0
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.arange(before, before + width).repeat(len(rows), 1)
    # Rows are padded on their right, where causal attention never looks: only a head or several choices need a mask.
    is_tree = any(row.is_tree for row in rows)
    sees = (
        torch.ones(len(rows) if is_tree else 1, 1, width, before + width).tril(before).bool()
        if head or is_tree
        else None
    )
    wanted: dict[tuple[int, int], int] = {}  # (row, column) of the logits needed ─▶ their place among them
    asked: list[tuple[int, int, int]] = []  # (branch counted through all rows, place of the logits, token)
    branch_count = 0
    for index, row in enumerate(rows):
        end = len(row.context)
        ids[index, :end] = torch.tensor(row.context)
        for branch in row.branches:
            read = branch.tokens[:-1]
            start, end = end, end + len(read)
            columns = [len(row.context) - 1, *range(start, end)]
            for column, token in zip(columns, branch.tokens, strict=True):
                asked.append((branch_count, wanted.setdefault((index, column), len(wanted)), token))
            branch_count += 1
            if read:
                ids[index, start:end] = torch.tensor(read)
                positions[index, start:end] = torch.arange(len(read)) + before + len(row.context)
                if row.is_tree and sees is not None:
                    sees[index, 0, start:end, before + len(row.context) : before + start] = False
    places = torch.tensor(list(wanted))
    with torch.inference_mode(), logits_at(model, places[:, 0], places[:, 1] - width):
        logits = model(input_ids=ids.to(model.device), **_beside(model, head, sees, positions)).logits[0]
    branches, rows_of, tokens = torch.tensor(asked).unbind(1)
    nats = torch.log_softmax(logits, dim=-1, dtype=torch.float32)[rows_of.to(logits.device), tokens.to(logits.device)]
    totals = torch.zeros(branch_count, dtype=torch.float64).index_add_(0, branches, nats.double().cpu())
    found = iter(totals.tolist())
    return [[next(found) for _ in row.branches] for row in rows]


@contextmanager
def logits_at(model: Any, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """Within the block, `model(...)` gives logits (1, n, vocabulary) of the n places (row, column) alone.

    columns: may count from the end (-1 is the last), which holds whatever an adapter puts in front of a row.

    The model's own forward stays in charge, with whatever it does to its logits; only what enters the matrix over
    the vocabulary, often a quarter of a small model's work, is reduced.
    """

    def select(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = inputs[0]
        return (hidden[rows.to(hidden.device), columns.to(hidden.device)].unsqueeze(0), *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def _beside(model: Any, head: Head | None, sees: Tensor | None, positions: Tensor) -> dict[str, Any]:
    """What the model must be told beside the tokens; nothing in the plain case, which every model understands."""
    if sees is None:
        return {"use_cache": False}
    beside = {"attention_mask": _additive(sees, model), "position_ids": positions.to(model.device)}
    return {**beside, **({"past_key_values": head.cache(), "use_cache": True} if head else {"use_cache": False})}


def _additive(sees: Tensor, model: Any) -> Tensor:
    """The mask as numbers that are added to the attention's scores: the one form that every implementation takes."""
    hidden = torch.full(sees.shape, torch.finfo(model.dtype).min, dtype=model.dtype)
    return hidden.masked_fill_(sees, 0).to(model.device)
