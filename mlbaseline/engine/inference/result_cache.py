"""Results of requests, cached on disk: a process that is killed loses the batch at hand and nothing else.

There is one file per model and way of computing, named after the content of both, so that no model gets the results of
another. A line holds the results of one batch.
"""

from __future__ import annotations

import gzip
import json
from array import array
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbaseline.cache import cache_dir
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.journal import Journal
from mlbaseline.records import Scalar, digest_of

if TYPE_CHECKING:
    import pyarrow as pa


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

    def take(self, computed: Iterable[pa.Buffer]) -> None:
        """Store what was computed elsewhere and is not here yet, to be read again.

        Args:
            computed: Results of batches, as a `ResultsPacker` gives them.
        """
        import pyarrow as pa

        for packed in computed:
            with gzip.open(pa.BufferReader(packed), "rt", encoding="utf-8") as lines:
                for line in lines:
                    self._put({key: entry for key, entry in json.loads(line).items() if self.get(key) is None})
        self._read_index()

    def _entries(self, offset: int) -> dict[str, Any]:
        """Read a line. The last one stays in memory, as neighbours in a batch are looked up one after the other."""
        if self._last_line[0] != offset:
            content = self._journal.line_at(offset)
            self._last_line = (offset, {} if content is None else json.loads(content))
        return self._last_line[1]


class ResultsPacker:
    """Packs the results of batches, to be sent to another process: as objects they take many times the memory.

    A buffer of Arrow is not copied by what receives it from Ray's object store.
    """

    def __init__(self) -> None:
        """Begin without a result."""
        self._content = BytesIO()
        self._lines = gzip.open(self._content, "wt", compresslevel=1, encoding="utf-8")  # noqa: SIM115

    def add(self, results: Mapping[str, RequestResult]) -> None:
        """Add the results of one batch, except errors."""
        self._lines.write(json.dumps(_entries_of(results)) + "\n")

    def packed(self) -> pa.Buffer:
        """Return all of them; nothing may be added any more."""
        import pyarrow as pa

        self._lines.close()
        return pa.py_buffer(self._content.getbuffer())


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
