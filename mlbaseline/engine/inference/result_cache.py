"""What passes of a model found, kept on disk: whoever is killed loses the batch at hand, and nothing is asked twice.

One file per model and way of computing, named by both by content: no model ever gets what another one found. A line
holds what one pass found.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from mlbaseline.cache import cache_dir
from mlbaseline.engine.inference.execution import Found
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.journal import Journal
from mlbaseline.records import Scalar, digest_of


class PassCache:
    """In memory is only where things stand: 16 bytes an entry. What this process adds it does not read again."""

    def __init__(self, fields: Mapping[str, Scalar], *, fresh: bool = False) -> None:
        """fields: everything beside an entry's key that decides what is found. fresh: begin anew, whatever is there."""
        self._journal = Journal(cache_dir() / "passes" / f"{digest_of(dict(fields))}.jsonl")
        if fresh:
            self._journal.path.unlink(missing_ok=True)
        names, starts = array("Q"), array("q")
        for start, content in self._journal.lines():
            keys = list(json.loads(content))
            names.extend(map(_name, keys))
            starts.extend([start] * len(keys))
        order = np.argsort(np.asarray(names), kind="stable")
        self._names, self._starts = np.asarray(names)[order], np.asarray(starts)[order]
        self._read: tuple[int, dict[str, Any]] = (-1, {})

    def get(self, key: str) -> Found | None:
        name = np.uint64(_name(key))
        first, last = np.searchsorted(self._names, name), np.searchsorted(self._names, name, side="right")
        for start in self._starts[first:last][::-1].tolist():
            if key in (entries := self._entries(start)):
                compute_s, *values = entries[key]
                return Found(tuple(values), compute_s)
        return None

    def put(self, found: Mapping[str, Found]) -> None:
        """Keep what one pass found; errors are not kept. Several processes may do so at the same time."""
        entries = {key: [one.compute_s, *one.values] for key, one in found.items() if one.error is None}
        if entries:
            self._journal.add(json.dumps(entries))

    def _entries(self, start: int) -> dict[str, Any]:
        """Of a line; the last one is remembered, as whoever asks for an entry goes on to ask for its neighbours."""
        if self._read[0] != start:
            content = self._journal.line_at(start)
            self._read = (start, {} if content is None else json.loads(content))
        return self._read[1]


def make_key(example_id: str, n_head: int, *read: Tokens) -> str:
    """Names what is asked of an example by its id and by all tokens that are read and predicted for it.

    n_head: how many tokens are read once for all examples, which can shift the last bits.
    """
    content = blake2b(f"{n_head} {example_id}".encode("utf-8", "surrogatepass"), digest_size=16)
    for tokens in read:
        content.update(array("q", (len(tokens), *tokens)).tobytes())
    return content.hexdigest()


def _name(key: str) -> int:
    """64 bits of a key: enough to find it by."""
    return int(key[:16], 16)
