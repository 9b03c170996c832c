"""Tokenizers are told apart by how they cut, and chat templates are read as the model's own tokenizer applies them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mlbaseline.errors import AssetError
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.models.checkpoints.tokenizer import ChatTemplate, tokenizer_sha256
from tests.support.models.tiny_models import CHAT_TEMPLATE, CHAT_TEMPLATE_WITHOUT_SYSTEM, write_chat_model


def test_a_conversation_is_written_as_the_tokenizer_writes_it(tiny_model: Path, tmp_path: Path) -> None:
    folder = write_chat_model(tiny_model, tmp_path / "m")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    tokenizer = load_checkpoint(folder, precision="fp32", device="cpu").tokenizer
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert ChatTemplate(folder).render(messages) == expected == "<|system|>Be brief.</s>\n<|user|>Hi</s>\n<|assistant|>"
    assert ChatTemplate(folder).ending() == "</s>\n"


def test_a_template_that_knows_no_system_message_gets_none(tiny_model: Path, tmp_path: Path) -> None:
    folder = write_chat_model(tiny_model, tmp_path / "m", CHAT_TEMPLATE_WITHOUT_SYSTEM)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert ChatTemplate(folder).render(messages) == "<|user|>Hi</s>\n<|assistant|>"


def test_a_template_is_named_by_its_text_wherever_it_stands(tiny_model: Path, tmp_path: Path) -> None:
    one, other = (
        write_chat_model(tiny_model, tmp_path / "a"),
        write_chat_model(tiny_model, tmp_path / "b", CHAT_TEMPLATE_WITHOUT_SYSTEM),
    )
    within = tmp_path / "c"
    shutil.copytree(tiny_model, within)
    config = json.loads((within / "tokenizer_config.json").read_text("utf-8"))
    (within / "tokenizer_config.json").write_text(
        json.dumps({**config, "chat_template": CHAT_TEMPLATE}), encoding="utf-8"
    )
    assert ChatTemplate(one).sha256 == ChatTemplate(within).sha256 != ChatTemplate(other).sha256


def test_a_model_without_a_template_says_so(tiny_model: Path) -> None:
    with pytest.raises(AssetError, match="leave `chat_template` out"):
        ChatTemplate(tiny_model)


def test_a_tokenizer_is_named_by_what_it_cuts(tiny_model: Path, tmp_path: Path) -> None:
    same, other = write_chat_model(tiny_model, tmp_path / "same"), write_chat_model(tiny_model, tmp_path / "other")
    content = json.loads((same / "tokenizer.json").read_text("utf-8"))
    (same / "tokenizer.json").write_text(json.dumps({**content, "truncation": None, "padding": None}, indent=3))
    content["model"]["merges"] = content["model"]["merges"][:-1]
    (other / "tokenizer.json").write_text(json.dumps(content))
    assert tokenizer_sha256(same) == tokenizer_sha256(tiny_model) != tokenizer_sha256(other)
    (other / "tokenizer.json").unlink()
    with pytest.raises(AssetError, match="has no tokenizer"):
        tokenizer_sha256(other)
