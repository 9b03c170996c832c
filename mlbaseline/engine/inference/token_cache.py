"""The tokens of a whole split. Those of a large split are cached on disk, named after texts and tokenizer.

All seeds and rungs with the same prompts and tokenizer share them, and memory holds none of them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from mlbaseline.cache import cache_dir, folder_in_one_step
from mlbaseline.engine.inference.tokenization import EncodedPrompt, Encoder
from mlbaseline.errors import describe_error
from mlbaseline.progress import preparing
from mlbaseline.records import Example, digest_of
from mlbaseline.tasks.prompting import Prompt, PromptFormat

CACHED_FROM_EXAMPLES = 4096
"""Fewer take less time to tokenise than to look up in the cache."""
_CHUNK_EXAMPLES = 1024
_FORMAT = "v1"
_TOKENS, _STARTS, _FACTS = "tokens.int32", "starts.npy", "facts.json"


class EncodedPrompts(Protocol):
    """The prompts of a split in tokens; for an example that has none, the error."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> EncodedPrompt | str: ...


def prompt_at(prompts: EncodedPrompts, position: int) -> EncodedPrompt:
    """Return the prompt at a position that has no error."""
    prompt = prompts[position]
    assert isinstance(prompt, EncodedPrompt)
    return prompt


class CachedPrompts:
    """Encoded prompts on disk."""

    def __init__(self, folder: Path) -> None:
        """Open a folder. Raises ValueError, KeyError or OSError if it does not hold what was written to it."""
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if facts["sha256"] != _sha256(folder / _TOKENS, folder / _STARTS):
            raise ValueError(f"{folder}: damaged")
        self._starts = np.load(folder / _STARTS)
        # numpy maps no empty file.
        self._tokens = np.memmap(folder / _TOKENS, np.int32, "r") if self._starts[-1] else np.zeros(0, np.int32)
        self._errors: dict[int, str] = {int(position): text for position, text in facts["errors"].items()}

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, position: int) -> EncodedPrompt | str:
        if position in self._errors:
            return self._errors[position]
        packed: list[int] = self._tokens[self._starts[position] : self._starts[position + 1]].tolist()
        return _unpack(packed)


def encode_examples(encoder: Encoder, prompting: PromptFormat, examples: Sequence[Example]) -> EncodedPrompts:
    """Tokenise the prompts of examples.

    Many of them come from the cache, if the same texts went through the same tokenizer before.

    Args:
        encoder: of the model.
        prompting: makes the prompts.
        examples: in any order.

    Returns:
        For each example its prompt, or the error that its row shows.
    """
    if len(examples) < CACHED_FROM_EXAMPLES:
        return list(_encode(encoder, prompting, examples))
    target = cache_dir() / "tokens" / _key(encoder, prompting, examples)
    try:
        return CachedPrompts(target)
    except (OSError, ValueError, KeyError):  # not there, or damaged
        shutil.rmtree(target, ignore_errors=True)
    with folder_in_one_step(target) as folder:
        _write(folder, preparing(_encode(encoder, prompting, examples), "Tokenising", len(examples)))
    return CachedPrompts(target)


def _key(encoder: Encoder, prompting: PromptFormat, examples: Sequence[Example]) -> str:
    content = hashlib.sha256()
    for prompt in _prompts(prompting, preparing(examples, "Looking up tokens")):
        text = str(prompt) if isinstance(prompt, Exception) else "\x1f".join((prompt.context, *prompt.continuations))
        content.update(text.encode("utf-8", "surrogatepass") + b"\x1e")
    return digest_of([_FORMAT, encoder.tokenizer_digest, encoder.max_length, content.hexdigest()])


def _prompts(prompting: PromptFormat, examples: Iterable[Example]) -> Iterator[Prompt | Exception]:
    for example in examples:
        try:
            yield prompting.prompt(example)
        except Exception as error:  # any error in a user's template or data; one example must not fail the others
            yield error


def _encode(encoder: Encoder, prompting: PromptFormat, examples: Sequence[Example]) -> Iterator[EncodedPrompt | str]:
    prompts = _prompts(prompting, examples)
    while chunk := list(islice(prompts, _CHUNK_EXAMPLES)):
        tokenised = iter(encoder.encode_many([prompt for prompt in chunk if isinstance(prompt, Prompt)]))
        for prompt in chunk:
            encoded = next(tokenised) if isinstance(prompt, Prompt) else prompt
            yield describe_error(encoded) if isinstance(encoded, Exception) else encoded


def _write(folder: Path, prompts: Iterable[EncodedPrompt | str]) -> None:
    starts, errors = [0], {}
    with (folder / _TOKENS).open("wb") as file:
        for position, prompt in enumerate(prompts):
            if isinstance(prompt, str):
                errors[position] = prompt
            packed = [] if isinstance(prompt, str) else _pack(prompt)
            file.write(np.array(packed, np.int32).tobytes())
            starts.append(starts[-1] + len(packed))
    np.save(folder / _STARTS, np.array(starts, np.int64))
    facts = {"sha256": _sha256(folder / _TOKENS, folder / _STARTS), "errors": errors}
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _pack(prompt: EncodedPrompt) -> list[int]:
    """Flatten a prompt: lengths, then tokens. The contexts of a prompt are all ends of the longest one."""
    longest = max(prompt.contexts, key=len)
    lengths = [*map(len, prompt.contexts), *map(len, prompt.continuations)]
    continuations = [token for continuation in prompt.continuations for token in continuation]
    return [prompt.prompt_tokens, len(prompt.contexts), *lengths, *longest, *continuations]


def _unpack(packed: list[int]) -> EncodedPrompt:
    prompt_tokens, n = packed[:2]
    contexts, continuations = packed[2 : 2 + n], packed[2 + n : 2 + 2 * n]
    ends = list(accumulate(continuations, initial=2 + 2 * n + max(contexts)))
    return EncodedPrompt(
        tuple(tuple(packed[ends[0] - length : ends[0]]) for length in contexts),
        tuple(tuple(packed[start:end]) for start, end in pairwise(ends)),
        prompt_tokens,
    )


def _sha256(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
