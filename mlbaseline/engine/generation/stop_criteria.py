"""When a generated text ends: at an end token, a stop sequence, or `max_new_tokens`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.tasks.decoding import Decoding


class StopCriteria:
    """When a text of a checkpoint ends, and what its tokens mean as a text."""

    def __init__(self, checkpoint: Checkpoint, decoding: Decoding) -> None:
        """Combine the end tokens of the model with the options of the task.

        Args:
            checkpoint: its tokenizer decodes.
            decoding: stop sequences and `max_new_tokens`.
        """
        self._tokenizer, self._decoding = checkpoint.tokenizer, decoding
        self.end_tokens = end_tokens(checkpoint)
        self._stop_bytes = max((len(stop.encode("utf-8", "surrogatepass")) for stop in decoding.stop), default=0)

    def is_met(self, tokens: Sequence[int]) -> bool:
        """Return whether the newest token ends the text."""
        if tokens[-1] in self.end_tokens or len(tokens) >= self._decoding.max_new_tokens:
            return True
        if not self._stop_bytes:
            return False
        # A stop sequence of n bytes spans n tokens at most, and begins within the one before them.
        newest = self.decode(tokens[-self._stop_bytes - 1 :])
        return any(stop in newest for stop in self._decoding.stop)

    def truncate(self, tokens: Sequence[int]) -> list[int]:
        """Return the tokens up to the one that ends the text."""
        length = next((n for n in range(1, len(tokens)) if self.is_met(tokens[:n])), len(tokens))
        return list(tokens[:length])

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of the tokens, without the end token."""
        content = tokens[:-1] if tokens and tokens[-1] in self.end_tokens else tokens
        return str(self._tokenizer.decode(content, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def end_tokens(checkpoint: Checkpoint) -> frozenset[int]:
    """Return the tokens that end a text: those of the model's generation configuration, and the tokenizer's."""
    configured: Any = getattr(checkpoint.model.generation_config, "eos_token_id", None)
    tokens = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset(token for token in (*tokens, checkpoint.tokenizer.eos_token_id) if token is not None)
