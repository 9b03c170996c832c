"""Writing texts with a model: token by token, many rows at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from mlbaseline.engine.generation.decoding_loop import continue_rows, drawn, most_likely
from mlbaseline.engine.inference.batching import make_batches, most_rows
from mlbaseline.engine.inference.execution import Found
from mlbaseline.engine.inference.forward import read_head, without_adapter
from mlbaseline.engine.inference.oom_retry import Attempts
from mlbaseline.engine.inference.packed_attention import Head, can_pack
from mlbaseline.engine.inference.result_cache import make_key
from mlbaseline.engine.inference.timing import describe_error
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.tasks.decoding import Decoding


@dataclass(frozen=True, slots=True)
class Asked:
    """position: of the example. context: what is read for it, without the head where it follows one."""

    position: int
    example_id: str
    context: Tokens


@dataclass(frozen=True, slots=True)
class Writing:
    """A pass over contexts, known by their positions. behind_head: all follow the head."""

    asked: Sequence[Asked]
    behind_head: bool
    keys: Mapping[int, str] = field(default_factory=dict)

    def without(self, items: Container[int]) -> Writing | None:
        asked = [one for one in self.asked if one.position not in items]
        return replace(self, asked=asked) if asked else None


class Ending:
    """When a text is over, and what it says: an end token, a stop sequence, or `max_new_tokens`."""

    def __init__(self, checkpoint: Checkpoint, decoding: Decoding) -> None:
        self._tokenizer, self._decoding = checkpoint.tokenizer, decoding
        self.tokens = end_tokens(checkpoint)
        self._stop_bytes = max((len(stop.encode("utf-8", "surrogatepass")) for stop in decoding.stop), default=0)

    def is_reached(self, tokens: Sequence[int]) -> bool:
        """Whether the newest token ends the text."""
        if tokens[-1] in self.tokens or len(tokens) >= self._decoding.max_new_tokens:
            return True
        if not self._stop_bytes:
            return False
        # A stop sequence of n bytes spans n tokens at most, and begins within the one before them.
        newest = self.text(tokens[-self._stop_bytes - 1 :])
        return any(stop in newest for stop in self._decoding.stop)

    def cut(self, tokens: Sequence[int]) -> list[int]:
        """The tokens up to that which ends the text."""
        length = next((n for n in range(1, len(tokens)) if self.is_reached(tokens[:n])), len(tokens))
        return list(tokens[:length])

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens say, without the one that ended them."""
        kept = tokens[:-1] if tokens and tokens[-1] in self.tokens else tokens
        return str(self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class WritesTexts(Protocol):
    """What continues contexts by a model; of each `Writing`, the tokens of every sample of each context."""

    ending: Ending

    def plan(self, asked: Sequence[Asked]) -> Iterator[Writing]:
        """All contexts, in passes that their content alone decides."""
        ...

    def __call__(self, writing: Writing) -> dict[int, Found]: ...


class Writer:
    """The engine's own: rows of one batch go on together, and leave it early.

    What is drawn depends on `seed`, the example's id and the number of the sample, not on the batch.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, decoding: Decoding, batch_tokens: int, seed: int | None, head: Tokens = ()
    ) -> None:
        """head: as of `Reader`. Raises MlbaselineError for virtual tokens in front of a model that cannot follow a
        head."""
        self._model, self._front = without_adapter(checkpoint.model)
        if hasattr(self._model, "get_base_model") and self._model.active_peft_config.is_prompt_learning:
            raise MlbaselineError(
                f"{self._model.active_peft_config.peft_type.value}: this model cannot write behind virtual tokens, as "
                "not all of its layers attend to everything before them; use a method that adapts them, such as lora"
            )
        self.ending = Ending(checkpoint, decoding)
        self._decoding, self._seed, self._batch_tokens = decoding, seed, batch_tokens
        self._head_tokens = head if can_pack(self._model) else ()
        self._attempts: Attempts[Asked] = Attempts(batch_tokens, self._size)

    def plan(self, asked: Sequence[Asked]) -> Iterator[Writing]:
        """Contexts that begin with the head, without it; then the others (their left was cut off), as they are."""
        head = self._head_tokens
        behind = [replace(a, context=a.context[len(head) :]) for a in asked if _follows(a.context, head)]
        yield from self._batched(behind, self._head, behind_head=True)
        others = [a for a in asked if not _follows(a.context, head)]
        yield from self._batched(others, self._front, behind_head=False)

    def _batched(self, asked: Sequence[Asked], head: Head | None, *, behind_head: bool) -> Iterator[Writing]:
        most = most_rows(head, self._batch_tokens // self._decoding.samples)
        for batch in make_batches([self._size(one) for one in asked], self._batch_tokens, most):
            yield make_writing([asked[index] for index in batch], len(head.tokens) if head else 0, behind_head)

    def __call__(self, writing: Writing) -> dict[int, Found]:
        started = perf_counter()
        head = self._head if writing.behind_head else self._front
        written = self._attempts.compute(lambda part: self._write(part, head), writing.asked)
        return share_time(writing, written, perf_counter() - started)

    def _size(self, asked: Asked) -> int:
        """What the rows of a context may grow to."""
        return self._decoding.samples * (len(asked.context) + self._decoding.max_new_tokens)

    @cached_property
    def _head(self) -> Head | None:
        return read_head(self._model, self._head_tokens, self._front) if self._head_tokens else None

    def _write(self, batch: Sequence[Asked], head: Head | None) -> list[list[list[int]]]:
        """The samples of each context as tokens."""
        decoding = self._decoding
        generators = [
            np.random.default_rng([self._seed or 0, number_of(asked.example_id, sample)])
            for asked in batch
            for sample in range(decoding.samples)
        ]
        written = continue_rows(
            self._model,
            [asked.context for asked in batch],
            head=head,
            copies=decoding.samples,
            choose=drawn(generators, decoding.temperature) if decoding.temperature else most_likely,
            is_done=self.ending.is_reached,
        )
        return [written[i : i + decoding.samples] for i in range(0, len(written), decoding.samples)]


def number_of(example_id: str, sample: int = 0) -> int:
    """By which, and the seed, a sample is drawn: 64 bits."""
    name = f"{example_id}\n{sample}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big")


def make_writing(asked: Sequence[Asked], n_head: int = 0, behind_head: bool = False) -> Writing:
    """n_head: tokens of the head that they follow."""
    keys = {one.position: make_key(one.example_id, n_head, one.context) for one in asked}
    return Writing(asked, behind_head, keys)


def share_time(
    writing: Writing, written: Sequence[Sequence[Sequence[int]] | Exception], spent_s: float
) -> dict[int, Found]:
    """Of each context its samples, or why there are none; the time is shared by the tokens read and written."""
    sizes = [
        len(asked.context) + (0 if isinstance(texts, Exception) else sum(map(len, texts)))
        for asked, texts in zip(writing.asked, written, strict=True)
    ]
    per_token_s = spent_s / sum(sizes)
    return {
        asked.position: Found((), size * per_token_s, describe_error(texts))
        if isinstance(texts, Exception)
        else Found(tuple(map(list, texts)), size * per_token_s)
        for asked, texts, size in zip(writing.asked, written, sizes, strict=True)
    }


def _follows(context: Tokens, head: Tokens) -> bool:
    return 0 < len(head) < len(context) and context[: len(head)] == head


def end_tokens(checkpoint: Checkpoint) -> frozenset[int]:
    """Tokens that end a text: those of the model's generation configuration, and the tokenizer's."""
    configured: Any = getattr(checkpoint.model.generation_config, "eos_token_id", None)
    several = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset(token for token in (*several, checkpoint.tokenizer.eos_token_id) if token is not None)
