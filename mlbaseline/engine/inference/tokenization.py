"""Prompts ─▶ token ids, in the way of lm-evaluation-harness, so that log-likelihoods agree with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.records import digest_of
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompt, PromptFormat

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TargetSequence:
    """Input tokens of a model, and what its last positions must predict.

    Attributes:
        input_tokens: what the model reads: a context, and the targets without their last token.
        targets: predicted by the last `len(targets)` positions, each token behind those before it.
    """

    input_tokens: Tokens
    targets: Tokens

    @classmethod
    def join(cls, context: Tokens, targets: Tokens) -> TargetSequence:
        """Return the sequence that predicts `targets` behind `context`."""
        return cls((*context, *targets[:-1]), targets)


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt and its choices in tokens.

    Attributes:
        contexts: what each choice follows; all the same unless their left was cut off.
        continuations: tokens of each choice.
        prompt_tokens: length of the prompt before anything was cut off.
    """

    contexts: tuple[Tokens, ...]
    continuations: tuple[Tokens, ...]
    prompt_tokens: int

    @property
    def truncated(self) -> bool:
        """Whether the context of a choice lost tokens from its left."""
        return any(len(context) < self.prompt_tokens for context in self.contexts)

    @property
    def sequences(self) -> tuple[TargetSequence, ...]:
        """The sequence of each choice."""
        return tuple(map(TargetSequence.join, self.contexts, self.continuations))


@dataclass(frozen=True, slots=True)
class EncodedContext:
    """A prompt in tokens, behind which a text is generated.

    Attributes:
        tokens: what the model reads.
        prompt_tokens: length of the prompt before anything was cut off.
        truncated: whether it lost tokens from its left.
    """

    tokens: Tokens
    prompt_tokens: int
    truncated: bool


def make_encoder(checkpoint: Checkpoint, evaluation: Evaluation) -> Encoder:
    """Make the encoder of a checkpoint, which reads as much as suite and model allow.

    Args:
        checkpoint: its tokenizer is used, and its maximum length, if it has one.
        evaluation: its `max_length` is the limit, if the model's is not lower.
    """
    limit = evaluation.max_length
    return Encoder(checkpoint.tokenizer, min(limit, checkpoint.max_positions or limit))


class Encoder:
    """Tokenises prompts for a causal model that reads at most `max_length` tokens."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        """Wrap a tokenizer of transformers.

        Args:
            tokenizer: of the model.
            max_length: tokens of an input at most.
        """
        self._tokenizer = tokenizer
        self.max_length = max_length
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self._start: int | None = start
        self._start_text = tokenizer.decode([start]) if start is not None else None

    @cached_property
    def tokenizer_digest(self) -> str:
        """SHA-256 of everything that decides which tokens a text has (64 hexadecimal characters)."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        content = backend.to_str() if backend is not None else [repr(self._tokenizer), self._tokenizer.get_vocab()]
        return digest_of([content, self._start_text])

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """Tokenise a prompt and its choices.

        The tokens of a choice are those that context + choice has behind as many as the context alone has. White space
        at the end of the context belongs to the choices. An empty context is the tokenizer's start token. Where context
        and choice, without its last token, exceed `max_length`, the context loses tokens from its left.

        Raises:
            ValueError: a choice has no tokens, or exceeds `max_length` by itself.
        """
        encoded = self.encode_many([prompt])[0]
        if isinstance(encoded, ValueError):
            raise encoded
        return encoded

    def encode_many(self, prompts: Sequence[Prompt]) -> list[EncodedPrompt | ValueError]:
        """Tokenise many prompts in one call of the tokenizer, as `encode` does; errors replace results."""
        split = [_split(prompt) for prompt in prompts]
        texts = [text for context, tails in split if context for text in (context, *(context + tail for tail in tails))]
        try:
            tokens = iter(self._tokenise(texts))
        except Exception as error:  # tokenizers raise what they like; one text must not fail the others
            if len(prompts) == 1:
                return [ValueError(f"the tokenizer cannot read the prompt ({type(error).__name__}: {error})")]
            return [self.encode_many([prompt])[0] for prompt in prompts]
        encoded: list[EncodedPrompt | ValueError] = []
        for prompt, (context, tails) in zip(prompts, split, strict=True):
            try:
                if context:
                    ids = next(tokens)
                    continuations = [next(tokens)[len(ids) :] for _ in tails]
                else:
                    ids, continuations = self._behind_start(tails)
                encoded.append(self._fit(ids, continuations, prompt.continuations))
            except ValueError as error:
                encoded.append(error)
        return encoded

    def encode_context(self, context: str, *, max_new_tokens: int) -> EncodedContext:
        """Tokenise a prompt, white space at its end included, with room for `max_new_tokens` behind it.

        An empty prompt is the tokenizer's start token. A prompt that is too long loses tokens from its left.

        Raises:
            ValueError: `max_new_tokens` leaves no room for a prompt.
        """
        room = self.max_length - max_new_tokens
        if room <= 0:
            raise ValueError(
                f"max_new_tokens ({max_new_tokens}) leaves no room for a prompt: the model reads {self.max_length} "
                "tokens"
            )
        tokens = self._tokenise([context])[0] if context else (self._start_token(),)
        return EncodedContext(tokens[-room:], len(tokens), len(tokens) > room)

    def encode_text(self, text: str) -> tuple[int, Tokens]:
        """Return the start token, and all tokens of a text, however many. Raises ValueError where either is missing."""
        tokens = tuple(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        if not tokens:
            raise ValueError("the text has no tokens")
        return self._start_token(), tokens

    def shared_prefix(self, prompting: PromptFormat, *, max_new_tokens: int = 0) -> Tokens:
        """Return the tokens that every prompt begins with; empty where there are none.

        The text is cut at its last white space, where no tokenizer merges text before with text behind. A prompt whose
        left was cut off begins differently; the caller must compare. A prefix that leaves no room for a prompt behind
        it is useless, as the left of every prompt is cut off: it counts as empty.

        Args:
            prompting: makes the prompts.
            max_new_tokens: room that is needed behind each prompt.
        """
        text = re.match(r"(.*\S)(?=\s)", prompting.shared_prefix, flags=re.DOTALL)
        tokens = self._tokenise([text[1]])[0] if text else ()
        return tokens if len(tokens) < self.max_length - max_new_tokens else ()

    def _tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        # A chat template writes the start token itself; the tokenizer must not add a second one.
        has_start = [self._start_text is not None and text.startswith(self._start_text) for text in texts]
        tokens: dict[int, Tokens] = {}
        for starts, options in ((False, {}), (True, {"add_special_tokens": False})):
            places = [place for place, has in enumerate(has_start) if has == starts]
            if places:
                # verbose=False: the notice about texts beyond the model's maximum length; `truncated` says so for each.
                batch = [texts[place] for place in places]
                ids = self._tokenizer(batch, verbose=False, return_attention_mask=False, **options)["input_ids"]
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

    def _fit(self, context: Tokens, tails: Sequence[Tokens], texts: Sequence[str]) -> EncodedPrompt:
        for tail, text in zip(tails, texts, strict=True):
            if not tail:
                raise ValueError(f"the choice {text!r} adds no token to its prompt")
            if len(tail) > self.max_length:
                raise ValueError(f"the choice {text!r} has {len(tail)} tokens, max_length is {self.max_length}")
        # The last token of a continuation is only predicted, never read.
        rooms = [self.max_length + 1 - len(tail) for tail in tails]
        contexts = tuple(context[-room:] for room in rooms)
        return EncodedPrompt(contexts, tuple(tails), len(context))


def _split(prompt: Prompt) -> tuple[str, list[str]]:
    context = prompt.context.rstrip()
    spaces = prompt.context[len(context) :]
    return context, [spaces + continuation for continuation in prompt.continuations]


def split_into_windows(start: int, tokens: Tokens, max_length: int, stride: int) -> Iterator[TargetSequence]:
    """Split a text into windows whose targets together are all its tokens.

    Args:
        start: start token, which the first token is predicted behind.
        tokens: of the text.
        max_length: input tokens of a window at most.
        stride: targets of each window but the first, which has `max_length`.

    >>> list(split_into_windows(0, (1, 2, 3, 4, 5), max_length=4, stride=2))[-1]
    TargetSequence(input_tokens=(1, 2, 3, 4), targets=(5,))
    """
    inputs = (start, *tokens)  # inputs[i] is the token before tokens[i]
    done = 0
    while done < len(tokens):
        end = min(done + (stride if done else max_length), len(tokens))
        yield TargetSequence.join(inputs[max(0, end - max_length) : done + 1], tokens[done:end])
        done = end
