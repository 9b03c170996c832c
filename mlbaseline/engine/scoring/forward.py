"""Log-likelihoods in one forward pass of a causal model: over packed prefix trees, or over padded rows.

Tokens that sequences share are computed once, and only the logits that predict targets are computed. Models that do
not support packing get one padded row for each different sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mlbaseline.engine.inference.batching import make_padded_batches
from mlbaseline.engine.inference.invariance import FixedTiles, pad_to_tiles
from mlbaseline.engine.inference.packed_attention import make_layout, packed_attention
from mlbaseline.engine.inference.shared_prefix import SharedPrefix, input_device, logits_at
from mlbaseline.engine.inference.tokenization import TargetSequence
from mlbaseline.engine.scoring.prefix_tree import RequestGroup, build_prefix_tree

_LOGITS_AT_ONCE = 128
"""Positions whose logits are normalised together: a second copy of all logits would take much memory."""


class _Target(NamedTuple):
    """A token to predict for a sequence, and where in the batch it is predicted."""

    sequence: int
    row: int
    column: int
    token: int


def score_packed(
    model: Any, groups: Sequence[RequestGroup], prefix: SharedPrefix | None = None, *, invariant: bool = False
) -> list[tuple[float, ...]]:
    """Compute log-likelihoods of requests whose groups are packed into one sequence.

    Args:
        model: see `supports_packing`.
        groups: each is one prefix tree. All requests omit exactly the tokens of the shared prefix.
        prefix: stands before every tree.
        invariant: compute the same bits for a group whatever other groups there are.

    Returns:
        For each request, in order, the log-likelihood (nats) of the targets of each sequence.
    """
    device = input_device(model)
    trees = [build_prefix_tree(group) for group in groups]
    padding = [0] * pad_to_tiles(sum(len(tree.tokens) for tree in trees)) if invariant else []
    ids = torch.tensor([[*(token for tree in trees for token in tree.tokens), *padding]], device=device)
    n_virtual = prefix.n_virtual_tokens if prefix else 0
    depths = [*(n_virtual + depth for tree in trees for depth in tree.depths), *padding]
    positions = torch.tensor([depths], device=device)
    layout = make_layout([tree.parents for tree in trees], prefix, device, by_row=invariant)
    targets: list[_Target] = []
    start = n_sequences = 0
    for group, tree in zip(groups, trees, strict=True):
        sequences = [sequence for request in group for sequence in request.sequences]
        for sequence, nodes in zip(sequences, tree.target_nodes, strict=True):
            for node, token in zip(nodes, sequence.targets, strict=True):
                targets.append(_Target(n_sequences, 0, start + node, token))
            n_sequences += 1
        start += len(tree.tokens)
    with packed_attention(model, layout), FixedTiles() if invariant else nullcontext():
        nats = iter(_log_likelihoods(model, targets, n_sequences, input_ids=ids, position_ids=positions))
    return [tuple(next(nats) for _ in request.sequences) for group in groups for request in group]


def score_padded(model: Any, sequences: Sequence[TargetSequence], batch_tokens: int) -> list[float]:
    """Compute log-likelihoods in batches of rows of similar length.

    Sequences with the same input share a row. Rows are padded on their right, which causal attention never sees.

    Args:
        model: any causal language model.
        sequences: what is computed.
        batch_tokens: tokens of a batch at most, padding included.

    Returns:
        For each sequence the log-likelihood (nats) of its targets.
    """
    nats = [0.0] * len(sequences)
    inputs = list(dict.fromkeys(sequence.input_tokens for sequence in sequences))
    for batch in make_padded_batches([len(tokens) for tokens in inputs], batch_tokens):
        row_of = {inputs[index]: row for row, index in enumerate(batch)}
        width = max(map(len, row_of))
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        for tokens, row in row_of.items():
            ids[row, : len(tokens)] = torch.tensor(tokens)
        members = [index for index, sequence in enumerate(sequences) if sequence.input_tokens in row_of]
        targets = [
            _Target(count, row_of[sequence.input_tokens], column - width, token)
            for count, sequence in enumerate(sequences[index] for index in members)
            for column, token in enumerate(sequence.targets, start=len(sequence.input_tokens) - len(sequence.targets))
        ]
        values = _log_likelihoods(model, targets, len(members), input_ids=ids.to(input_device(model)))
        for index, value in zip(members, values, strict=True):
            nats[index] = value
    return nats


def _log_likelihoods(model: Any, targets: Sequence[_Target], n_sequences: int, **inputs: Tensor) -> list[float]:
    """Compute one forward pass; return the summed log-probability of the targets of each sequence."""
    positions: dict[tuple[int, int], int] = {}  # choices of one token are predicted at the same position
    logits_of = torch.tensor([positions.setdefault((t.row, t.column), len(positions)) for t in targets])
    rows, columns = torch.tensor(list(positions)).unbind(1)
    with torch.inference_mode(), logits_at(model, rows, columns):
        logits = model(**inputs, use_cache=False).logits[0]
        logits_of = logits_of.to(logits.device)
        of_target = logits[logits_of, torch.tensor([t.token for t in targets], device=logits.device)].double()
        total = torch.cat([part.float().logsumexp(-1) for part in logits.split(_LOGITS_AT_ONCE)]).double()
        nats = (of_target - total[logits_of]).cpu()
    sequence_of = torch.tensor([t.sequence for t in targets])
    return torch.zeros(n_sequences, dtype=torch.float64).index_add_(0, sequence_of, nats).tolist()
