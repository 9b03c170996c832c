"""Requests for log-likelihoods, and the prefix tree in which their sequences share tokens.

The sequences of a request, such as a prompt with each of its choices, form a tree: tokens that they begin with alike
are computed once, and behind them each token attends to its own ancestors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlbaseline.engine.inference.result_cache import make_key
from mlbaseline.engine.inference.tokenization import TargetSequence


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """The sequences of which log-likelihoods are computed for one example, or for one window of a text.

    Attributes:
        number: names the request within its batch, e.g. the position of its example.
        sequences: each gives one log-likelihood.
        n_prefix_tokens: tokens that every sequence begins with and a shared prefix holds.
    """

    number: int
    sequences: tuple[TargetSequence, ...]
    n_prefix_tokens: int = 0

    def cache_key(self, example_id: str) -> str:
        """Return the key of its result in a cache."""
        parts = (tokens for sequence in self.sequences for tokens in (sequence.input_tokens, sequence.targets))
        return make_key(example_id, self.n_prefix_tokens, *parts)


RequestGroup = Sequence[ScoringRequest]
"""Requests whose sequences form one prefix tree."""


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """The tokens of a group of requests, each node once.

    Attributes:
        tokens: of each node.
        depths: of each node, its position in its sequences.
        parents: of each node; -1 for the first of a sequence.
        target_nodes: of each sequence, the nodes that predict its targets.
    """

    tokens: list[int]
    depths: list[int]
    parents: list[int]
    target_nodes: list[list[int]]


def build_prefix_tree(group: RequestGroup) -> PrefixTree:
    """Build the tree of all sequences of a group, without the tokens of the shared prefix."""
    nodes: dict[tuple[int, int], int] = {}  # (parent, token) ─▶ node
    tree = PrefixTree([], [], [], [])
    for request in group:
        start = request.n_prefix_tokens
        for sequence in request.sequences:
            path: list[int] = []
            node = -1
            for depth, token in enumerate(sequence.input_tokens[start:], start=start):
                parent = node
                node = nodes.setdefault((parent, token), len(tree.tokens))
                if node == len(tree.tokens):
                    tree.tokens.append(token)
                    tree.depths.append(depth)
                    tree.parents.append(parent)
                path.append(node)
            tree.target_nodes.append(path[-len(sequence.targets) :])
    return tree


def count_input_tokens(group: RequestGroup, *, packed: bool) -> int:
    """Count the tokens that are computed for a group.

    Args:
        group: requests.
        packed: as one prefix tree; otherwise every different sequence of a request is computed as a whole.
    """
    if packed:
        return len(build_prefix_tree(group).tokens)
    return sum(len(tokens) for request in group for tokens in {sequence.input_tokens for sequence in request.sequences})
