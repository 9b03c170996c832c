"""Results of requests, cached on disk: a process that is killed loses the batch at hand and nothing else.

There is one file per model and way of computing, named after the content of both, so that no model gets the results of
another. A line holds the results of one batch.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from mlbaseline.cache import cache_dir
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.journal import Journal
from mlbaseline.records import Scalar, digest_of


class ResultCache:
    """Results by key. Memory holds only the file position of each result, 16 bytes an entry.

    What this process puts in, it does not read again.
    """

    def __init__(self, fields: Mapping[str, Scalar], *, fresh: bool = False, folder: Path | None = None) -> None:
        """Open the cache of one model and way of computing.

        Args:
            fields: everything beside the key that decides a result.
            fresh: delete what is cached, and begin anew.
            folder: where the file lies; None: in the cache of this machine.
        """
        self._journal = Journal((folder or cache_dir() / "passes") / f"{digest_of(dict(fields))}.jsonl")
        if fresh:
            self._journal.path.unlink(missing_ok=True)
        self._last_line: tuple[int, dict[str, Any]] = (-1, {})
        self._read_index()

    def _read_index(self) -> None:
        hashes, offsets = array("Q"), array("q")
        for offset, content in self._journal.lines():
            keys = list(json.loads(content))
            hashes.extend(map(_hash_of, keys))
            offsets.extend([offset] * len(keys))
        order = np.argsort(np.asarray(hashes), kind="stable")
        self._hashes, self._offsets = np.asarray(hashes)[order], np.asarray(offsets)[order]

    def get(self, key: str) -> RequestResult | None:
        """Return the result of `key`, the latest if there are several; None if there is none."""
        wanted = np.uint64(_hash_of(key))
        first, last = np.searchsorted(self._hashes, wanted), np.searchsorted(self._hashes, wanted, side="right")
        for offset in self._offsets[first:last][::-1].tolist():
            if key in (entries := self._entries(offset)):
                compute_s, *values = entries[key]
                return RequestResult(tuple(values), compute_s, batch=-1 - offset)  # a line is a batch
        return None

    def put(self, results: Mapping[str, RequestResult]) -> None:
        """Store the results of one batch, except errors. Several processes may do so at the same time."""
        self._put(_entries_of(results))

    def _put(self, entries: Mapping[str, Any]) -> None:
        if entries:
            self._journal.add(json.dumps(entries))

    def store(self, computed: Iterable[bytes]) -> None:
        """Store what other processes have computed and is not here yet; `refresh` makes it readable.

        Args:
            computed: Results of batches, as `pack_results` gives them.
        """
        for packed in computed:
            entries = json.loads(zlib.decompress(packed))
            self._put({key: entry for key, entry in entries.items() if self.get(key) is None})

    def refresh(self) -> None:
        """Read what was stored since the cache was opened."""
        self._read_index()

    def _entries(self, offset: int) -> dict[str, Any]:
        """Read a line. The last one stays in memory, as neighbours in a batch are looked up one after the other."""
        if self._last_line[0] != offset:
            content = self._journal.line_at(offset)
            self._last_line = (offset, {} if content is None else json.loads(content))
        return self._last_line[1]


def pack_results(results: Mapping[str, RequestResult]) -> bytes:
    """Pack the results of a batch, except errors, to be sent to another process: a fifth of the bytes."""
    return zlib.compress(json.dumps(_entries_of(results)).encode(), level=1)


def _entries_of(results: Mapping[str, RequestResult]) -> dict[str, Any]:
    return {key: [result.compute_s, *result.values] for key, result in results.items() if result.error is None}


def make_key(example_id: str, n_prefix_tokens: int, *token_lists: Tokens) -> str:
    """Make the key of a request: its example's id, and all tokens that are read and predicted for it.

    Args:
        example_id: of the example.
        n_prefix_tokens: length of the prefix that is computed once for all requests; it can change the last bits.
        token_lists: all tokens of the request.

    Returns:
        32 hexadecimal characters.
    """
    content = blake2b(f"{n_prefix_tokens} {example_id}".encode("utf-8", "surrogatepass"), digest_size=16)
    for tokens in token_lists:
        content.update(array("q", (len(tokens), *tokens)).tobytes())
    return content.hexdigest()


def _hash_of(key: str) -> int:
    """Return the first 64 bits of a key."""
    return int(key[:16], 16)
