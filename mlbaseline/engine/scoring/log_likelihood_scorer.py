"""Log-likelihoods of requests by a causal model, in batches."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter

from mlbaseline.engine.inference.batching import make_packed_batches
from mlbaseline.engine.inference.oom_retry import OutOfMemoryRetry
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.shared_prefix import SharedPrefix, compute_prefix, supports_packing, unwrap_adapter
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.engine.scoring.forward import score_packed, score_padded
from mlbaseline.engine.scoring.prefix_tree import RequestGroup, ScoringRequest, count_input_tokens
from mlbaseline.errors import MlbaselineError, describe_error
from mlbaseline.models.checkpoints.checkpoint import Checkpoint

LogLikelihoods = tuple[float, ...]
"""Of one request (nats), one per sequence."""


@dataclass(frozen=True, slots=True)
class ScoringBatch:
    """A batch of scoring requests, see `RequestBatch`.

    Attributes:
        groups: each is one prefix tree.
        behind_prefix: whether all requests omit the shared prefix.
        keys: number of each request ─▶ its cache key; empty without a cache.
    """

    groups: Sequence[RequestGroup]
    behind_prefix: bool = False
    keys: Mapping[int, str] = field(default_factory=dict)

    def without(self, numbers: Container[int]) -> ScoringBatch | None:
        """Return the batch of the other requests; None if there are none."""
        groups = [rest for group in self.groups if (rest := [r for r in group if r.number not in numbers])]
        return replace(self, groups=groups) if groups else None


class LogLikelihoodScorer:
    """A model that scores batches of requests."""

    def __init__(
        self, checkpoint: Checkpoint, *, batch_tokens: int, prefix_tokens: Tokens = (), invariant: bool = False
    ) -> None:
        """Prepare a checkpoint.

        Args:
            checkpoint: causal language model.
            batch_tokens: tokens of a batch at most.
            prefix_tokens: computed once for all requests that begin with them, if the model supports it.
            invariant: compute the same bits for a request whatever else is in its batch.

        Raises:
            MlbaselineError: the model cannot be computed invariantly.
        """
        self._model, self.soft_prompt = unwrap_adapter(checkpoint.model)
        self.packed = supports_packing(self._model)
        self.invariant = invariant
        if invariant and not self.packed:
            raise MlbaselineError(
                f"evaluation.invariant: expected a model whose layers all attend to everything before them, got "
                f"{type(self._model).__name__}; leave `invariant` out"
            )
        self._prefix_tokens = prefix_tokens if self.packed else ()
        self._retry: OutOfMemoryRetry[RequestGroup] = OutOfMemoryRetry(
            batch_tokens, lambda group: count_input_tokens(group, packed=self.packed)
        )
        self._batch_tokens = batch_tokens

    @cached_property
    def prefix(self) -> SharedPrefix | None:
        """What stands before the requests of a batch behind the prefix."""
        return compute_prefix(self._model, self._prefix_tokens, self.soft_prompt) if self._prefix_tokens else None

    def __call__(self, batch: ScoringBatch) -> dict[int, RequestResult]:
        """Compute a batch; each request has its share of the time, by its tokens."""
        started = perf_counter()
        values = self._score(batch.groups, self.prefix if batch.behind_prefix else self.soft_prompt)
        spent_s = perf_counter() - started
        sizes = {r.number: count_input_tokens([r], packed=self.packed) for group in batch.groups for r in group}
        per_token_s = spent_s / sum(sizes.values())
        return {number: _make_result(nats, per_token_s * sizes[number]) for number, nats in values.items()}

    def make_batches(
        self, requests: Sequence[ScoringRequest], keys: Mapping[int, str] | None = None
    ) -> Iterator[ScoringBatch]:
        """Form batches of requests that share no tokens, longest first.

        Args:
            requests: each becomes a prefix tree of its own.
            keys: of the requests, where there is a cache.
        """
        lengths = [count_input_tokens([request], packed=self.packed) for request in requests]
        prefix_length = len(self.soft_prompt) if self.soft_prompt else 0
        for indices in make_packed_batches(lengths, self._batch_tokens, prefix_length):
            members = [requests[index] for index in indices]
            own_keys = {request.number: keys[request.number] for request in members} if keys else {}
            yield ScoringBatch([[request] for request in members], keys=own_keys)

    def _score(
        self, groups: Sequence[RequestGroup], prefix: SharedPrefix | None
    ) -> dict[int, LogLikelihoods | Exception]:
        scores: dict[int, LogLikelihoods | Exception] = {}
        of_groups = self._retry.run(lambda part: self._forward(part, prefix), groups)
        for group, values in zip(groups, of_groups, strict=True):
            if isinstance(values, Exception):
                scores |= self._score_singly(group, prefix, values)
            else:
                scores |= zip((request.number for request in group), values, strict=True)
        return scores

    def _score_singly(
        self, group: RequestGroup, prefix: SharedPrefix | None, error: Exception
    ) -> dict[int, LogLikelihoods | Exception]:
        """Score a group that failed: each request alone; of a request that fails without packing, each row alone."""
        if len(group) > 1:
            return self._score([[request] for request in group], prefix)
        if self.packed:
            return {group[0].number: error}
        try:
            return {group[0].number: self._forward([group], prefix, 1)[0][0]}
        except Exception as last_error:  # whatever the model raises is this request's error
            return {group[0].number: last_error}

    def _forward(
        self, groups: Sequence[RequestGroup], prefix: SharedPrefix | None, row_tokens: int | None = None
    ) -> list[list[LogLikelihoods]]:
        """Score each request of each group. row_tokens: of the rows that are computed together without packing."""
        if self.packed:
            scores = iter(score_packed(self._model, groups, prefix, invariant=self.invariant))
        else:
            requests = [request for group in groups for request in group]
            sequences = [sequence for request in requests for sequence in request.sequences]
            nats = iter(score_padded(self._model, sequences, row_tokens or self._retry.fitting_tokens))
            scores = iter([tuple(next(nats) for _ in request.sequences) for request in requests])
        return [[next(scores) for _ in group] for group in groups]


def _make_result(nats: LogLikelihoods | Exception, compute_s: float) -> RequestResult:
    if isinstance(nats, Exception):
        return RequestResult((), compute_s, describe_error(nats))
    if not all(map(math.isfinite, nats)):
        return RequestResult((), compute_s, f"the model gave log-likelihoods that are no numbers: {list(nats)}")
    return RequestResult(nats, compute_s)
