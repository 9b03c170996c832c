"""Writing texts with a model: token by token, many rows at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from mlbaseline.engine.attempts import Attempts
from mlbaseline.engine.continuation import continue_rows, drawn, most_likely
from mlbaseline.engine.encoding import Tokens
from mlbaseline.engine.forward import read_head, without_adapter
from mlbaseline.engine.packing import Head, can_pack
from mlbaseline.engine.passes import Found
from mlbaseline.engine.timing import describe_error
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


class Writer:
    """Continues contexts by a causal model; of each `Writing`, the tokens of every sample of each context.

    They end with an end token, a stop sequence, or after `max_new_tokens`. What is drawn depends on `seed`, the
    example's id and the number of the sample, not on the batch.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, decoding: Decoding, batch_tokens: int, seed: int | None, head: Tokens = ()
    ) -> None:
        """head: as of `Reader`. Raises MlbaselineError for virtual tokens in front of a model that cannot follow a
        head."""
        self._model, self.front = without_adapter(checkpoint.model)
        if hasattr(self._model, "get_base_model") and self._model.active_peft_config.is_prompt_learning:
            raise MlbaselineError(
                f"{self._model.active_peft_config.peft_type.value}: this model cannot write behind virtual tokens, as "
                "not all of its layers attend to everything before them; use a method that adapts them, such as lora"
            )
        self._tokenizer, self._ends = checkpoint.tokenizer, end_tokens(checkpoint)
        self._decoding, self._seed = decoding, seed
        self._head_tokens = head if can_pack(self._model) else ()
        self._attempts: Attempts[Asked] = Attempts(
            batch_tokens, lambda asked: decoding.samples * (len(asked.context) + decoding.max_new_tokens)
        )

    @cached_property
    def head(self) -> Head | None:
        """What stands before the contexts of a writing behind the head."""
        return read_head(self._model, self._head_tokens, self.front) if self._head_tokens else None

    def __call__(self, writing: Writing) -> dict[int, Found]:
        started = perf_counter()
        head = self.head if writing.behind_head else self.front
        written = self._attempts.compute(lambda part: self._write(part, head), writing.asked)
        spent_s = perf_counter() - started
        sizes = [
            len(asked.context) + (0 if isinstance(texts, Exception) else sum(map(len, texts)))
            for asked, texts in zip(writing.asked, written, strict=True)
        ]
        per_token_s = spent_s / sum(sizes)
        return {
            asked.position: Found((), size * per_token_s, describe_error(texts))
            if isinstance(texts, Exception)
            else Found(tuple(texts), size * per_token_s)
            for asked, texts, size in zip(writing.asked, written, sizes, strict=True)
        }

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a sample, without what ended it."""
        kept = tokens[:-1] if tokens and tokens[-1] in self._ends else tokens
        return str(self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _write(self, batch: Sequence[Asked], head: Head | None) -> list[list[list[int]]]:
        """The samples of each context as tokens."""
        decoding = self._decoding
        generators = self._generators([asked.example_id for asked in batch])
        written = continue_rows(
            self._model,
            [asked.context for asked in batch],
            head=head,
            copies=decoding.samples,
            choose=drawn(generators, decoding.temperature) if decoding.temperature else most_likely,
            is_done=self._is_done,
        )
        return [written[i : i + decoding.samples] for i in range(0, len(written), decoding.samples)]

    def _generators(self, ids: Sequence[str]) -> list[np.random.Generator]:
        names = (f"{id}\n{sample}" for id in ids for sample in range(self._decoding.samples))
        digests = (hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names)
        return [np.random.default_rng([self._seed or 0, int.from_bytes(digest[:8], "big")]) for digest in digests]

    def _is_done(self, tokens: list[int]) -> bool:
        if tokens[-1] in self._ends or len(tokens) >= self._decoding.max_new_tokens:
            return True
        if not self._stop_bytes:
            return False
        # A stop sequence of n bytes spans n tokens at most, and begins within the one before them.
        newest = self.decode(tokens[-self._stop_bytes - 1 :])
        return any(stop in newest for stop in self._decoding.stop)

    @cached_property
    def _stop_bytes(self) -> int:
        return max((len(stop.encode("utf-8", "surrogatepass")) for stop in self._decoding.stop), default=0)


def end_tokens(checkpoint: Checkpoint) -> frozenset[int]:
    """Tokens that end a text: those of the model's generation configuration, and the tokenizer's."""
    configured: Any = getattr(checkpoint.model.generation_config, "eos_token_id", None)
    several = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset(token for token in (*several, checkpoint.tokenizer.eos_token_id) if token is not None)
