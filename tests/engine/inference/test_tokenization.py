from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from mlbaseline.engine.inference.tokenization import Encoder
from mlbaseline.tasks.prompting import Prompt, Prompting
from tests.support.ladders.choice_task import SHOTS, TEMPLATE


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


def ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text)["input_ids"])


def test_context_and_continuation_are_tokenised_together(tokenizer: Any) -> None:
    encoded = Encoder(tokenizer, 100).encode(Prompt("Tweet: late\nSentiment:", (" negative", "ly")))
    context = ids(tokenizer, "Tweet: late\nSentiment:")
    assert encoded.contexts == (context, context)
    assert context + encoded.continuations[0] == ids(tokenizer, "Tweet: late\nSentiment: negative")
    assert (encoded.prompt_tokens, encoded.truncated) == (len(context), False)


def test_white_space_that_ends_a_context_goes_to_the_continuation(tokenizer: Any) -> None:
    encoded = Encoder(tokenizer, 100).encode(Prompt("Tweet: late\n ", ("bad",)))
    assert encoded.contexts[0] == ids(tokenizer, "Tweet: late")
    assert tokenizer.decode(encoded.continuations[0]) == "\n bad"


def test_each_choice_keeps_as_much_context_as_fits_before_it(tokenizer: Any) -> None:
    short, long = " negative", " what a wonderful thing"
    whole = ids(tokenizer, "Tweet: the flight was late\nSentiment:")
    encoded = Encoder(tokenizer, 8).encode(Prompt("Tweet: the flight was late\nSentiment:", (short, long)))
    assert encoded.truncated
    assert encoded.prompt_tokens == len(whole)
    for context, tokens in zip(encoded.contexts, encoded.continuations, strict=True):
        assert len(context) + len(tokens) - 1 == 8
        assert whole[-len(context) :] == context


@pytest.mark.parametrize(("choice", "reason"), [("", "adds no token"), (" very" * 30, "max_length is 10")])
def test_a_choice_that_cannot_be_scored_is_refused(tokenizer: Any, choice: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Encoder(tokenizer, 10).encode(Prompt("Tweet:", (" ok", choice)))


@pytest.mark.parametrize("prefix", ["", SHOTS])
@pytest.mark.parametrize("text", ["late", " late", "\n", "'s", "🙂", ":) ok", "a"])
def test_every_prompt_begins_with_the_shared_prefix(tokenizer: Any, prefix: str, text: str) -> None:
    encoder, prompting = Encoder(tokenizer, 200), Prompting(TEMPLATE, prefix)
    shared = encoder.shared_prefix(prompting)
    context = encoder.encode(Prompt(prefix + TEMPLATE.format(text=text), (" ok",))).contexts[0]
    assert shared == context[: len(shared)] != ()


def test_a_template_that_begins_with_a_field_has_no_shared_prefix(tokenizer: Any) -> None:
    assert Encoder(tokenizer, 200).shared_prefix(Prompting("{text}: ")) == ()
    assert Encoder(tokenizer, 200).shared_prefix(Prompting("no field at all")) == ids(tokenizer, "no field at")
