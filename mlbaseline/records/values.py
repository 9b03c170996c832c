"""What every record may hold."""

from __future__ import annotations

import hashlib
import json
from typing import Any

Scalar = str | int | float | bool | None
"""What a signature field may hold: JSON scalars, so that equality means equality."""

UNKNOWN = "unknown"
"""A signature field of results from elsewhere that their source does not record."""
REMOTE = "remote"
"""The device of answers that another machine computed, about which nothing is known."""


def digest_of(content: Any) -> str:
    """SHA-256 (64 hex characters) over the canonical JSON of `content`: sorted keys, no spaces, UTF-8."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
