"""Prompts ─▶ token ids, in the way of lm-evaluation-harness, so that log-likelihoods agree with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlbaseline.records import digest_of
from mlbaseline.tasks.prompting import Asks, Prompt

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt in tokens. contexts: what each choice follows (one and the same unless the left was cut off).

    billed_tokens: length of the prompt before anything was cut off.
    """

    contexts: tuple[Tokens, ...]
    continuations: tuple[Tokens, ...]
    billed_tokens: int

    @property
    def truncated(self) -> bool:
        return any(len(context) < self.billed_tokens for context in self.contexts)


@dataclass(frozen=True, slots=True)
class EncodedContext:
    """A prompt that a text is to be written behind. billed_tokens, truncated: as of `Encoded`."""

    tokens: Tokens
    billed_tokens: int
    truncated: bool


class Encoder:
    """Tokenises prompts for a causal model that reads at most `max_length` tokens."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer = tokenizer
        self.max_length = max_length
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self._start: int | None = start
        self._start_text = tokenizer.decode([start]) if start is not None else None

    @cached_property
    def tokenizer_digest(self) -> str:
        """Names the tokenizer by what it does (64 hex characters)."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        does = backend.to_str() if backend is not None else [repr(self._tokenizer), self._tokenizer.get_vocab()]
        return digest_of([does, self._start_text])

    def encode(self, prompt: Prompt) -> Encoded:
        """The context's tokens, and of each context + continuation the tokens behind as many as the context has.

        White space that ends the context belongs to the continuations. An empty context is the tokenizer's start
        token. Where context and continuation without its last token exceed `max_length`, the context loses tokens
        from its left. Raises ValueError for a continuation that has no tokens or exceeds `max_length` by itself.
        """
        encoded = self.encode_many([prompt])[0]
        if isinstance(encoded, ValueError):
            raise encoded
        return encoded

    def encode_many(self, prompts: Sequence[Prompt]) -> list[Encoded | ValueError]:
        """As `encode`, in one call of the tokenizer, which reads many texts at a time; an error in its place."""
        split = [_split(prompt) for prompt in prompts]
        texts = [text for context, tails in split if context for text in (context, *(context + tail for tail in tails))]
        try:
            tokens = iter(self._tokenise(texts))
        except Exception as error:  # a text that the tokenizer cannot read must not cost the others
            if len(prompts) == 1:
                return [ValueError(f"the tokenizer cannot read the prompt ({type(error).__name__}: {error})")]
            return [self.encode_many([prompt])[0] for prompt in prompts]
        encoded: list[Encoded | ValueError] = []
        for prompt, (context, tails) in zip(prompts, split, strict=True):
            try:
                if context:
                    ids = next(tokens)
                    behind = [next(tokens)[len(ids) :] for _ in tails]
                else:
                    ids, behind = self._behind_start(tails)
                encoded.append(self._fit(ids, behind, prompt.continuations))
            except ValueError as error:
                encoded.append(error)
        return encoded

    def encode_context(self, context: str, *, leaving: int) -> EncodedContext:
        """The tokens of a prompt, white space at its end included, with room for `leaving` tokens behind them.

        An empty prompt is the tokenizer's start token. What is too long loses tokens from its left. Raises ValueError
        where `leaving` tokens leave no room for a prompt.
        """
        room = self.max_length - leaving
        if room <= 0:
            raise ValueError(
                f"max_new_tokens ({leaving}) leaves no room for a prompt: the model reads {self.max_length} tokens"
            )
        tokens = self._tokenise([context])[0] if context else (self._start_token(),)
        return EncodedContext(tokens[-room:], len(tokens), len(tokens) > room)

    def encode_text(self, text: str) -> tuple[int, Tokens]:
        """The start token, and all tokens of a text, however many. Raises ValueError where either is missing."""
        tokens = tuple(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        if not tokens:
            raise ValueError("the text has no tokens")
        return self._start_token(), tokens

    def head(self, prompting: Asks) -> Tokens:
        """The tokens with which every prompt begins.

        Cut at the last white space, where no tokenizer merges text before with text behind. Empty where nothing
        is common; a prompt that does begin otherwise (its left was cut off) is for the caller to notice.
        """
        kept = re.match(r"(.*\S)(?=\s)", prompting.head, flags=re.DOTALL)
        return self._tokenise([kept[1]])[0] if kept else ()

    def _tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        # A chat template writes the start token itself; the tokenizer must not add a second one.
        has_start = [self._start_text is not None and text.startswith(self._start_text) for text in texts]
        tokens: dict[int, Tokens] = {}
        for starts, options in ((False, {}), (True, {"add_special_tokens": False})):
            places = [place for place, has in enumerate(has_start) if has == starts]
            if places:
                # verbose=False: the notice about texts beyond the model's maximum length; `truncated` says so for each.
                given = [texts[place] for place in places]
                ids = self._tokenizer(given, verbose=False, return_attention_mask=False, **options)["input_ids"]
                tokens |= zip(places, map(tuple, ids), strict=True)
        return [tokens[place] for place in range(len(texts))]

    def _start_token(self) -> int:
        if self._start is None:
            raise ValueError("nothing stands in front and the tokenizer has no start token to put in its place")
        return self._start

    def _behind_start(self, continuations: Sequence[str]) -> tuple[Tokens, list[Tokens]]:
        start = self._start_token()
        ids = self._tokenizer(list(continuations), add_special_tokens=False)["input_ids"]
        return (start,), [tuple(tail[1:] if tail[:1] == [start] else tail) for tail in ids]

    def _fit(self, context: Tokens, tails: Sequence[Tokens], texts: Sequence[str]) -> Encoded:
        for tail, text in zip(tails, texts, strict=True):
            if not tail:
                raise ValueError(f"the choice {text!r} adds no token to its prompt")
            if len(tail) > self.max_length:
                raise ValueError(f"the choice {text!r} has {len(tail)} tokens, max_length is {self.max_length}")
        # The last token of a continuation is only predicted, never read.
        rooms = [self.max_length + 1 - len(tail) for tail in tails]
        contexts = tuple(context[-room:] for room in rooms)
        return Encoded(contexts, tuple(tails), len(context))


def _split(prompt: Prompt) -> tuple[str, list[str]]:
    context = prompt.context.rstrip()
    spaces = prompt.context[len(context) :]
    return context, [spaces + continuation for continuation in prompt.continuations]


def windows(start: int, tokens: Tokens, max_length: int, stride: int) -> Iterator[tuple[Tokens, Tokens]]:
    """(what is read first, what is predicted behind it) of each window; together the predicted ones are all `tokens`.

    A window reads at most `max_length` tokens. The first predicts that many behind `start`, the others `stride`.
    """
    read = (start, *tokens)  # read[i] is the token in front of tokens[i]
    done = 0
    while done < len(tokens):
        end = min(done + (stride if done else max_length), len(tokens))
        yield read[max(0, end - max_length) : done + 1], tokens[done:end]
        done = end
