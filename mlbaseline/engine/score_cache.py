"""Scores as they are computed, kept on disk: whoever is killed loses the batch at hand, and nothing is asked twice.

One file per model and way of computing, named by both by content: no model ever gets another one's scores. A line holds
what one pass computed, behind its own checksum: a torn or damaged line is as if it had never been computed.
"""

from __future__ import annotations

import json
import logging
from array import array
from collections.abc import Iterator, Mapping
from hashlib import blake2b, sha256

from mlbaseline.assets import cache_dir
from mlbaseline.engine.encoding import Encoded
from mlbaseline.engine.packing import Head
from mlbaseline.engine.reading import Scored
from mlbaseline.records import Scalar, digest_of

log = logging.getLogger("mlbaseline")


class ScoreCache:
    """fields: everything beside the example that decides a score. fresh: begin anew, whatever is there."""

    def __init__(self, fields: Mapping[str, Scalar], *, fresh: bool = False) -> None:
        self._path = cache_dir() / "scores" / f"{digest_of(dict(fields))}.jsonl"
        if fresh:
            self._path.unlink(missing_ok=True)
        # As text: a fifth of what the numbers take as objects.
        self._lines = dict(self._read())

    def get(self, key: str) -> Scored | None:
        line = self._lines.get(key)
        if line is None:
            return None
        compute_s, *nats = map(float, line.split())
        return Scored(tuple(nats), compute_s)

    def put(self, scores: Mapping[str, Scored]) -> None:
        """Keep what was computed of one batch; errors are not kept. Several processes may do so at the same time."""
        scores = {key: score for key, score in scores.items() if score.error is None}
        if not scores:
            return
        lines = {key: " ".join(map(repr, (score.compute_s, *score.nats))) for key, score in scores.items()}
        content = json.dumps(lines)
        self._lines |= lines
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # One write in append mode is not torn apart by others. The newline in front ends what a killed process began.
        with self._path.open("ab", buffering=0) as file:
            file.write(f"\n{_checksum(content)} {content}\n".encode())

    def _read(self) -> Iterator[tuple[str, str]]:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        damaged = 0
        with file:
            for line in file:
                checksum, _, content = line.rstrip(b"\n").decode("utf-8", "replace").partition(" ")
                if checksum == _checksum(content):
                    yield from json.loads(content).items()
                else:
                    damaged += bool(line.strip())
        if damaged:
            log.warning("%s: %d damaged entries; they are computed again", self._path, damaged)


def example_key(example_id: str, encoded: Encoded, head: Head | None) -> str:
    """Names an example by its id and by all that is read and predicted for it.

    head: what is read of it once for all examples, which can shift the last bits.
    """
    content = blake2b(
        f"{len(head.tokens) if head else 0} {example_id}".encode("utf-8", "surrogatepass"), digest_size=16
    )
    for tokens in (*encoded.contexts, *encoded.continuations):
        content.update(array("q", (len(tokens), *tokens)).tobytes())
    return content.hexdigest()


def _checksum(content: str) -> str:
    return sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
