"""The tokenizer of a model before the model is loaded: its identity, and its chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mlbaseline.assets import sha256_of
from mlbaseline.errors import AssetError
from mlbaseline.models.checkpoints.checkpoint import model_folder
from mlbaseline.models.checkpoints.loading import quiet_transformers
from mlbaseline.records import digest_of

Message = Mapping[str, str]
"""role (system, user or assistant) and content."""

_SPLITS_TEXT = ("added_tokens", "normalizer", "pre_tokenizer", "model")
"""Parts of tokenizer.json that decide which tokens a text has; the others pad, truncate, or add tokens around it."""


def tokenizer_sha256(path: Path) -> str:
    """Return the SHA-256 of how a tokenizer splits texts: two models with the same one count the same tokens.

    Args:
        path: as for `load_checkpoint`.

    Raises:
        AssetError: it is no model, or has no tokenizer.
    """
    folder = model_folder(path)
    whole = folder / "tokenizer.json"
    if whole.is_file():
        content = json.loads(whole.read_text(encoding="utf-8"))
        return digest_of({part: content.get(part) for part in _SPLITS_TEXT})
    files = sorted({*folder.glob("*.model"), *folder.glob("vocab*"), *folder.glob("merges*")})
    if not files:
        raise AssetError(f"{folder}: has no tokenizer: expected tokenizer.json or a vocabulary")
    return digest_of({file.name: sha256_of(file) for file in files})


class ChatTemplate:
    """The template with which a model's tokenizer formats a conversation as one text."""

    def __init__(self, path: Path) -> None:
        """Open a model, as for `load_checkpoint`. Raises AssetError if it is none, or its tokenizer has no template."""
        self._folder = model_folder(path)
        self.sha256 = digest_of(self._text())

    def render(self, messages: Sequence[Message]) -> str:
        """Format a conversation as a text that the assistant's next answer follows.

        A template without system messages gets none, as in lm-evaluation-harness.
        """
        from jinja2 import TemplateError

        try:
            return self._render(messages)
        except TemplateError:
            return self._render([message for message in messages if message["role"] != "system"])

    def _render(self, messages: Sequence[Message]) -> str:
        return str(
            self._tokenizer.apply_chat_template([dict(m) for m in messages], tokenize=False, add_generation_prompt=True)
        )

    def ending(self) -> str:
        """Return the text behind an assistant's answer."""
        mark = "<answer>"
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}]
        text = str(self._tokenizer.apply_chat_template(messages, tokenize=False))
        return text.rpartition(mark)[2]

    def _text(self) -> str:
        alone, config = self._folder / "chat_template.jinja", self._folder / "tokenizer_config.json"
        if alone.is_file():
            return alone.read_text(encoding="utf-8")
        text = json.loads(config.read_text(encoding="utf-8")).get("chat_template") if config.is_file() else None
        if not text:
            raise AssetError(
                f"{self._folder}: its tokenizer has no chat template; take a model that was tuned for conversation, or "
                "leave `chat_template` out"
            )
        return text if isinstance(text, str) else json.dumps(text, sort_keys=True)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        with quiet_transformers():
            return AutoTokenizer.from_pretrained(str(self._folder), trust_remote_code=False, local_files_only=True)
