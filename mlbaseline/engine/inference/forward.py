"""One pass of a causal model over rows: what is read is read once, and only the logits that are asked for are made.

A row holds everything that is asked of one example. Its queries grow into a tree: tokens that they begin with alike are
read once, and behind them each sees its own ancestors only. What all rows begin with (instruction, few-shot examples)
is read once for all and kept as keys and values. Models that cannot do so get padded rows, one for each path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from mlbaseline.engine.inference.batching import make_batches
from mlbaseline.engine.inference.packed_attention import Head, can_pack, lay_out, packed, reading_behind
from mlbaseline.engine.inference.tokenization import Tokens

__all__ = [
    "Head",
    "Query",
    "Row",
    "can_pack",
    "count_tokens",
    "logits_at",
    "read_head",
    "reading_behind",
    "score_packed",
    "score_padded",
    "without_adapter",
]

_LOGITS_AT_ONCE = 128
"""Places whose probabilities are normalised together: the vocabulary is wide, and a second copy of it is not needed."""


@dataclass(frozen=True, slots=True)
class Query:
    """tokens: what is read. answer: what its last places must predict, each token behind those before it."""

    tokens: Tokens
    answer: Tokens


@dataclass(frozen=True, slots=True)
class Row:
    """All that is asked of an example. example: its position. n_skipped: tokens that every query begins with and a head
    holds."""

    example: int
    queries: tuple[Query, ...]
    n_skipped: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """tokens, depths, parents: per node; a parent is a node, -1 before the first. places: per query, the node that
    predicts each token of its answer."""

    tokens: list[int]
    depths: list[int]
    parents: list[int]
    places: list[list[int]]


def _grow(rows: Sequence[Row]) -> Tree:
    nodes: dict[tuple[int, int], int] = {}  # (parent, token) ─▶ node
    tree = Tree([], [], [], [])
    for row in rows:
        for query in row.queries:
            path: list[int] = []
            node = -1
            for depth, token in enumerate(query.tokens[row.n_skipped :], start=row.n_skipped):
                parent = node
                node = nodes.setdefault((parent, token), len(tree.tokens))
                if node == len(tree.tokens):
                    tree.tokens.append(token)
                    tree.depths.append(depth)
                    tree.parents.append(parent)
                path.append(node)
            tree.places.append(path[-len(query.answer) :])
    return tree


def count_tokens(rows: Sequence[Row], *, packs: bool) -> int:
    """Tokens that are read for rows that form one tree, or (packs false) row by row."""
    if packs:
        return len(_grow(rows).tokens)
    return sum(len(tokens) for row in rows for tokens in {query.tokens for query in row.queries})


def without_adapter(model: Any) -> tuple[Any, Head | None]:
    """The model inside of an adapted one that can be asked in its place, and what stands before all that it reads.

    What prompt and prefix tuning put in front of every prompt never changes: read once, it is a head without tokens.
    A method that works inside of the layers leaves the model itself to be asked. Where neither holds, and where a
    model cannot follow a head (see `can_pack`), the adapted model is asked as it is.
    """
    if not hasattr(model, "get_base_model"):
        return model, None
    from peft.tuners.tuners_utils import BaseTuner

    inner = model.get_base_model()
    if not model.active_peft_config.is_prompt_learning:
        return (inner if type(model.base_model).forward is BaseTuner.forward else model), None
    if not can_pack(inner):
        return model, None
    with torch.inference_mode():
        cache = model.get_prompt(batch_size=1)
        if isinstance(cache, Tensor):
            embeddings, cache = cache.to(inner.dtype), DynamicCache(config=inner.config)
            with logits_at(inner, torch.tensor([0]), torch.tensor([0])):
                inner(inputs_embeds=embeddings, **reading_behind(inner, cache))
    return inner, Head((), tuple((layer.keys, layer.values) for layer in cache.layers))


def read_head(model: Any, tokens: Tokens, front: Head | None = None) -> Head:
    """Compute the keys and values of `tokens`, which stand behind `front`."""
    cache = DynamicCache(config=model.config)
    with torch.inference_mode(), logits_at(model, torch.tensor([0]), torch.tensor([0])):
        for index, (keys, values) in enumerate(front.layers if front else ()):
            cache.update(keys, values, index)
        model(input_ids=torch.tensor([tokens], device=model.device), **reading_behind(model, cache))
    return Head(tokens, tuple((layer.keys, layer.values) for layer in cache.layers))


def score_packed(model: Any, families: Sequence[Sequence[Row]], head: Head | None = None) -> list[tuple[float, ...]]:
    """Log-likelihood (nats) of the answer of every query of every row, in their order.

    families: the rows of one are one tree. All rows skip exactly the tokens of the head. The model: see `can_pack`.
    """
    trees = [_grow(family) for family in families]
    ids = torch.tensor([[token for tree in trees for token in tree.tokens]], device=model.device)
    ahead = len(head) - len(head.tokens) if head else 0  # what an adapter puts in front
    positions = torch.tensor([[ahead + depth for tree in trees for depth in tree.depths]], device=model.device)
    layout = lay_out([tree.parents for tree in trees], head, model.device)
    asked: list[_Asked] = []
    start = n_queries = 0
    for family, tree in zip(families, trees, strict=True):
        queries = [query for row in family for query in row.queries]
        for query, places in zip(queries, tree.places, strict=True):
            for place, token in zip(places, query.answer, strict=True):
                asked.append(_Asked(n_queries, 0, start + place, token))
            n_queries += 1
        start += len(tree.tokens)
    with packed(model, layout):
        nats = iter(_answer(model, asked, n_queries, input_ids=ids, position_ids=positions))
    return [tuple(next(nats) for _ in row.queries) for family in families for row in family]


def score_padded(model: Any, queries: Sequence[Query], batch_tokens: int) -> list[float]:
    """Log-likelihood (nats) of the answer of every query, in batches of rows of similar length: one row for all that
    read the same, padded on its right, where causal attention never looks."""
    nats = [0.0] * len(queries)
    lines = list(dict.fromkeys(query.tokens for query in queries))
    for batch in make_batches([len(tokens) for tokens in lines], batch_tokens):
        row_of = {lines[line]: row for row, line in enumerate(batch)}
        width = max(map(len, row_of))
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        for tokens, row in row_of.items():
            ids[row, : len(tokens)] = torch.tensor(tokens)
        members = [index for index, query in enumerate(queries) if query.tokens in row_of]
        asked = [
            _Asked(count, row_of[query.tokens], len(query.tokens) - len(query.answer) + offset - width, token)
            for count, query in enumerate(queries[index] for index in members)
            for offset, token in enumerate(query.answer)
        ]
        for index, value in zip(
            members, _answer(model, asked, len(members), input_ids=ids.to(model.device)), strict=True
        ):
            nats[index] = value
    return nats


class _Asked(NamedTuple):
    """Which token a query wants to see predicted, and where in the batch."""

    query: int
    row: int
    column: int
    token: int


def _answer(model: Any, asked: Sequence[_Asked], n_queries: int, **inputs: Tensor) -> list[float]:
    places: dict[tuple[int, int], int] = {}  # choices of one token ask at the same place
    place_of = torch.tensor([places.setdefault((ask.row, ask.column), len(places)) for ask in asked])
    rows, columns = torch.tensor(list(places)).unbind(1)
    with torch.inference_mode(), logits_at(model, rows, columns):
        logits = model(**inputs, use_cache=False).logits[0]
        place_of = place_of.to(logits.device)
        wanted = logits[place_of, torch.tensor([ask.token for ask in asked], device=logits.device)].double()
        total = torch.cat([part.float().logsumexp(-1) for part in logits.split(_LOGITS_AT_ONCE)]).double()
        nats = (wanted - total[place_of]).cpu()
    queries = torch.tensor([ask.query for ask in asked])
    return torch.zeros(n_queries, dtype=torch.float64).index_add_(0, queries, nats).tolist()


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
