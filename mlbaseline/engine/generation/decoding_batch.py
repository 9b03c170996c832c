"""Requests for texts in batches, and their results."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.result_cache import make_key
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.errors import describe_error

Samples = list[list[int]]
"""The texts of one request as tokens, the end token of each included."""


@dataclass(frozen=True, slots=True)
class DecodingRequest:
    """A prompt to continue.

    Attributes:
        number: names the request within its batch: the position of its example.
        example_id: seeds its samples.
        context: tokens that are computed for it, without the shared prefix where it is behind one.
    """

    number: int
    example_id: str
    context: Tokens


@dataclass(frozen=True, slots=True)
class DecodingBatch:
    """A batch of decoding requests, see `RequestBatch`.

    Attributes:
        requests: in their order in the batch.
        behind_prefix: whether all of them omit the shared prefix.
        keys: number of each request ─▶ its cache key.
    """

    requests: Sequence[DecodingRequest]
    behind_prefix: bool
    keys: Mapping[int, str] = field(default_factory=dict)

    def without(self, numbers: Container[int]) -> DecodingBatch | None:
        """Return the batch of the other requests; None if there are none."""
        requests = [request for request in self.requests if request.number not in numbers]
        return replace(self, requests=requests) if requests else None


def make_decoding_batch(
    requests: Sequence[DecodingRequest], n_prefix_tokens: int = 0, behind_prefix: bool = False
) -> DecodingBatch:
    """Make a batch with its cache keys.

    Args:
        requests: of the batch.
        n_prefix_tokens: tokens of the shared prefix that they omit.
        behind_prefix: whether they omit it.
    """
    keys = {r.number: make_key(r.example_id, n_prefix_tokens, r.context) for r in requests}
    return DecodingBatch(requests, behind_prefix, keys)


def make_results(
    batch: DecodingBatch, samples: Sequence[Samples | Exception], spent_s: float
) -> dict[int, RequestResult]:
    """Make the result of each request; the time is shared by the tokens computed and generated.

    Args:
        batch: what was computed.
        samples: of each request, or why there are none.
        spent_s: wall time of the batch.
    """
    sizes = [
        len(request.context) + (0 if isinstance(texts, Exception) else sum(map(len, texts)))
        for request, texts in zip(batch.requests, samples, strict=True)
    ]
    per_token_s = spent_s / sum(sizes)
    return {
        request.number: RequestResult((), size * per_token_s, describe_error(texts))
        if isinstance(texts, Exception)
        else RequestResult(tuple(map(list, texts)), size * per_token_s)
        for request, texts, size in zip(batch.requests, samples, sizes, strict=True)
    }


def sample_seed(example_id: str, sample: int = 0) -> int:
    """Return the 64-bit number that, with the seed, decides what a sample draws."""
    name = f"{example_id}\n{sample}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
