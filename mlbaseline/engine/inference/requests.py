"""What the engine computes: requests in batches, and the result of each request.

Which requests form a batch is decided beforehand, from all of them, so that a result depends neither on which process
computes it nor on how often the evaluation was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mlbaseline.models.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class RequestResult:
    """The result of one request, or the error in its place.

    Attributes:
        values: log-likelihoods (nats), one per sequence; or texts as lists of tokens, one per sample.
        compute_s: the request's share of its batch's wall time.
        error: why there are no values.
        batch: which requests were timed together: a number for each batch, negative for those of an earlier session.
    """

    values: tuple[Any, ...]
    compute_s: float
    error: str | None = None
    batch: int | None = None


class RequestBatch(Protocol):
    """Requests that are computed together, each with a number. Batches are pickled to other processes."""

    @property
    def keys(self) -> Mapping[int, str]:
        """Number of each request ─▶ its key in the result cache; empty where results are not cached."""
        ...

    def without(self, numbers: Container[int]) -> Any:
        """Return the batch of the other requests; None if there are none."""
        ...


ModelRunner = Callable[[Any], dict[int, RequestResult]]
"""Computes a batch: the result of each request, by its number."""
MakeRunner = Callable[[Checkpoint], ModelRunner]
"""Makes a process's runner from its own copy of the model; it is pickled to other processes."""
