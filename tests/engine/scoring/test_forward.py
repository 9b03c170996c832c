"""The shared pass must give every architecture the log-likelihoods of its own plain pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from mlbaseline.engine.inference.shared_prefix import compute_prefix, supports_packing
from mlbaseline.engine.inference.tokenization import TargetSequence
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.scoring.forward import score_packed
from mlbaseline.engine.scoring.prefix_tree import ScoringRequest
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, PHRASES, SHOTS, TEMPLATE, make_examples
from tests.support.models.plain_scoring import plain_answers

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 320}
WIDE = {"intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3}
ARCHITECTURES: dict[str, tuple[bool, Callable[[], Any]]] = {
    "llama": (True, lambda: transformers.LlamaConfig(**SIZES, **WIDE)),
    "gpt2": (True, lambda: transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=320, n_positions=256)),
    "sliding_window": (False, lambda: transformers.MistralConfig(**SIZES, **WIDE, sliding_window=6)),
    "softcapped_logits": (
        False,
        lambda: transformers.Gemma2Config(
            **SIZES, **WIDE, head_dim=8, sliding_window=6, final_logit_softcapping=3.0, query_pre_attn_scalar=8
        ),
    ),
    "scaled_logits": (True, lambda: transformers.GraniteConfig(**SIZES, **WIDE, logits_scaling=4.0)),
    "alibi": (False, lambda: transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=320)),
    "recurrent": (
        False,
        lambda: transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=320, state_size=4),
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("prefix", ["", SHOTS], ids=["zero-shot", "few-shot"])
def test_agrees_with_the_plain_pass(name: str, prefix: str, tiny_model: Path) -> None:
    shares, make_config = ARCHITECTURES[name]
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(make_config(), dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert supports_packing(model) == shares
    prompting, examples = Prompting(TEMPLATE, prefix), make_examples(PHRASES)
    evaluation = Evaluation(batch_tokens=512, max_length=200, latency_sample=0)
    scorer = ChoiceScorer(Checkpoint(model, tokenizer, "fp32", "cpu"), prompting, LABELS, evaluation)
    expected = plain_answers(model, tokenizer, prompting, examples)
    for answer in scorer.answer(examples):
        assert answer.error is None
        assert answer.loglik_nats == pytest.approx(expected[answer.example_id], abs=1e-4)


def test_a_forward_pass_changes_neither_prefix_nor_model(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    ids = torch.arange(20).reshape(2, 10)
    whole = model(ids).logits
    prefix = compute_prefix(model, (5, 6, 7, 8))
    before = [(keys.clone(), values.clone()) for keys, values in prefix.layers]
    sequences = (TargetSequence((5, 6, 7, 8, 1, 2), (2, 9)), TargetSequence((5, 6, 7, 8, 1), (3,)))
    request = ScoringRequest(0, sequences, n_prefix_tokens=4)
    score_packed(model, [[request], [request]], prefix)
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(prefix.layers, before, strict=True))
    assert torch.equal(model(ids).logits, whole)
