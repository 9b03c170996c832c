"""Answers in the model's own words: texts written behind the prompt, token by token."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import numpy as np

from mlbaseline.engine.batching import make_batches
from mlbaseline.engine.continuation import continue_rows, drawn, most_likely
from mlbaseline.engine.encoding import EncodedContext, Encoder, Tokens
from mlbaseline.engine.forward import Head, can_share, read_head, without_adapter
from mlbaseline.engine.scoring import most_rows, reading_length
from mlbaseline.engine.timing import answer_and_time, describe_error
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Asks

GENERATION_VERSION = 1
"""Part of every signature: raised when the same options lead to other texts."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """position: of the example. context: what is read for it, without the head where it follows one."""

    position: int
    context: Tokens


class Generator:
    """A `records.Model`: prediction is the text that the model writes behind the prompt, or what `decoding` extracts.

    Texts are those of transformers' `generate` by temperature alone: of a model's own generation defaults only the end
    tokens count. They end at an end token, a stop sequence, or after `max_new_tokens`. What is drawn depends on `seed`,
    the example's id and the number of the sample, not on the batch.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: Asks,
        decoding: Decoding,
        evaluation: Evaluation,
        *,
        seed: int | None = None,
        description: str | None = None,
    ) -> None:
        """seed: needed where something is drawn. description: names the progress bar; without it there is none."""
        if decoding.temperature > 0 and seed is None:
            raise ValueError("texts are drawn at a temperature above 0: give a seed")
        self._model, self._front = without_adapter(checkpoint.model)
        self._tokenizer = checkpoint.tokenizer
        self._prompting, self._decoding, self._evaluation = prompting, decoding, evaluation
        self._seed, self._description = seed, description
        self._encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation))
        self._ends = end_tokens(checkpoint)

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches, then time `evaluation.latency_sample` of the examples alone, evenly spread over all.

        An example that cannot be answered becomes an answer with `error` set; a batch that fails is halved.
        """
        sample = self._evaluation.latency_sample
        return answer_and_time(self._answer_in_batches, examples, sample=sample, description=self._description)

    def _answer_in_batches(self, examples: Sequence[Example]) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        encoded: dict[int, EncodedContext] = {}
        for position, example in enumerate(examples):
            try:
                context = self._prompting.prompt(example).context
                encoded[position] = self._encoder.encode_context(context, leaving=self._decoding.max_new_tokens)
            except Exception as error:  # one example that cannot be asked must not cost the others their answers
                yield position, Answer(example.id, None, error=describe_error(error))
        batches = [*self._batches(encoded)]
        setup_s = (perf_counter() - started) / max(len(encoded), 1)
        for batch, head in batches:
            started = perf_counter()
            written = self._write(batch, [examples[asked.position].id for asked in batch], head)
            batch_s = perf_counter() - started
            sizes = [
                len(asked.context) + (0 if isinstance(texts, str) else sum(map(len, texts)))
                for asked, texts in zip(batch, written, strict=True)
            ]
            for asked, texts, size in zip(batch, written, sizes, strict=True):
                example, known = examples[asked.position], encoded[asked.position]
                compute_s = setup_s + batch_s * size / sum(sizes)
                yield asked.position, self._conclude(example.id, known, texts, compute_s)

    def _batches(self, encoded: dict[int, EncodedContext]) -> Iterator[tuple[list[_Asked], Head | None]]:
        """Contexts that begin with the head, without it; then the others (their left was cut off), as they are."""
        asked = [_Asked(position, known.tokens) for position, known in encoded.items()]
        head = self._head
        if head is not None:
            n = len(head.tokens)
            behind = [_Asked(a.position, a.context[n:]) for a in asked if _follows(a.context, head)]
            asked = [a for a in asked if not _follows(a.context, head)]
            for batch in self._batched(behind, head):
                yield batch, head
        for batch in self._batched(asked, self._front):
            yield batch, self._front

    def _batched(self, asked: Sequence[_Asked], head: Head | None) -> Iterator[list[_Asked]]:
        """Sized by what the rows may grow to."""
        decoding, budget = self._decoding, self._evaluation.batch_tokens
        lengths = [decoding.samples * (len(a.context) + decoding.max_new_tokens) for a in asked]
        for batch in make_batches(lengths, budget, most_rows(head, budget // decoding.samples)):
            yield [asked[index] for index in batch]

    def _write(self, batch: Sequence[_Asked], ids: Sequence[str], head: Head | None) -> list[list[list[int]] | str]:
        """The samples of each row as tokens, or what went wrong with the row."""
        decoding = self._decoding
        try:
            written = continue_rows(
                self._model,
                [asked.context for asked in batch],
                head=head,
                copies=decoding.samples,
                choose=drawn(self._generators(ids), decoding.temperature) if decoding.temperature else most_likely,
                is_done=self._is_done,
            )
            return [written[i : i + decoding.samples] for i in range(0, len(written), decoding.samples)]
        except Exception as error:  # out of memory, or a row that the model cannot read
            if len(batch) == 1:
                return [describe_error(error)]
        half = len(batch) // 2
        return self._write(batch[:half], ids[:half], head) + self._write(batch[half:], ids[half:], head)

    def _generators(self, ids: Sequence[str]) -> list[np.random.Generator]:
        names = (f"{id}\n{sample}" for id in ids for sample in range(self._decoding.samples))
        digests = (hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names)
        return [np.random.default_rng([self._seed or 0, int.from_bytes(digest[:8], "big")]) for digest in digests]

    def _is_done(self, tokens: list[int]) -> bool:
        if tokens[-1] in self._ends or len(tokens) >= self._decoding.max_new_tokens:
            return True
        # A stop sequence of n bytes spans n tokens at most, and begins within the one before them.
        return bool(self._stop_bytes) and self._cuts(self._decode(tokens[-self._stop_bytes - 1 :]))

    def _cuts(self, text: str) -> bool:
        return any(stop in text for stop in self._decoding.stop)

    def _decode(self, tokens: Sequence[int]) -> str:
        kept = tokens[:-1] if tokens and tokens[-1] in self._ends else tokens
        return str(self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _conclude(
        self, example_id: str, known: EncodedContext, written: list[list[int]] | str, compute_s: float
    ) -> Answer:
        answer = partial(
            Answer, example_id, tokens_in=known.billed_tokens, compute_s=compute_s, truncated=known.truncated
        )
        if isinstance(written, str):
            return answer(None, error=written)
        texts = [self._decoding.cut(self._decode(tokens)) for tokens in written]
        answers = [self._decoding.answer_in(text) for text in texts]
        return answer(
            answers[0],
            raw=texts[0] if self._decoding.extract is not None else None,
            samples=tuple(answers) if len(answers) > 1 else (),
            tokens_out=sum(map(len, written)),
        )

    @cached_property
    def _stop_bytes(self) -> int:
        return max((len(stop.encode("utf-8", "surrogatepass")) for stop in self._decoding.stop), default=0)

    @cached_property
    def _head(self) -> Head | None:
        tokens = self._encoder.head(self._prompting) if can_share(self._model) else ()
        room = self._encoder.max_length - self._decoding.max_new_tokens
        return read_head(self._model, tokens, self._front) if 0 < len(tokens) < room else None


def _follows(context: Tokens, head: Head) -> bool:
    return len(context) > len(head.tokens) and context[: len(head.tokens)] == head.tokens


def end_tokens(checkpoint: Checkpoint) -> frozenset[int]:
    """Tokens that end a text: those of the model's generation configuration, and the tokenizer's."""
    configured: Any = getattr(checkpoint.model.generation_config, "eos_token_id", None)
    several = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset(token for token in (*several, checkpoint.tokenizer.eos_token_id) if token is not None)
