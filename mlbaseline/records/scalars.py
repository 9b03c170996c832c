"""Scalars that a signature holds, and the one JSON and digest of what is made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlbaseline.records.fields import Fields

Scalar = str | int | float | bool | None
"""What a signature field may hold: JSON scalars, so that equality means equality."""

UNKNOWN = "unknown"
"""A signature field of results from elsewhere that their source does not record."""
REMOTE = "remote"
"""The device of answers that another machine computed, about which nothing is known."""


def _as_dict(content: Any) -> dict[str, Any]:
    if isinstance(content, Fields):
        return content.as_dict()
    if isinstance(content, Mapping):
        return dict(content)
    raise TypeError(f"{type(content).__name__} has no canonical JSON")


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_as_dict
)


def canonical_json(content: Any) -> bytes:
    """Write `content` as JSON in the one way that digests use: sorted keys, no spaces, UTF-8."""
    return _CANONICAL.encode(content).encode("utf-8", "surrogatepass")


def digest_of(content: Any) -> str:
    """Compute the SHA-256 (64 hex characters) over the canonical JSON of `content`."""
    return hashlib.sha256(canonical_json(content)).hexdigest()
