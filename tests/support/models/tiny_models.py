"""Checkpoints of random weights that load in milliseconds, and chat templates and adapters for them."""

from __future__ import annotations

import shutil
from pathlib import Path

_TEXTS = (
    "Tweet: the flight was late and I am not happy about it",
    "Tweet: thank you, what a wonderful crew! Best airline ever",
    "Tweet: driverless cars are tested on public roads this year",
    "Sentiment: negative, neutral, positive. very bad indeed, so-so, what a wonderful thing",
)


def write_tiny_model(folder: Path, width: int = 48) -> Path:
    """Write a Llama of two layers and a byte-level tokenizer into a folder that exists, and return that folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _TEXTS,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' and not loop.first %}"
    "{{ raise_exception('system first') }}{% endif %}<|{{ message['role'] }}|>{{ message['content'] | trim }}</s>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CHAT_TEMPLATE_WITHOUT_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT_TEMPLATE
)


def write_chat_model(source: Path, folder: Path, template: str = CHAT_TEMPLATE) -> Path:
    """Copy a model into a new folder, with a chat template, and return that folder."""
    shutil.copytree(source, folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def write_adapter(model: Path, folder: Path) -> Path:
    """Write a LoRA adapter of random weights, which changes what the model answers, and return its folder."""
    import torch
    from peft import LoraConfig, get_peft_model

    from mlbaseline.models.checkpoints.checkpoint import load_checkpoint

    torch.manual_seed(3)
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    adapted = get_peft_model(load_checkpoint(model, precision="fp32", device="cpu").model, config)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder
