from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from mlbaseline.cache import cache_dir
from mlbaseline.engine.inference import token_cache as tokens
from mlbaseline.engine.inference.token_cache import CachedPrompts, encode_examples
from mlbaseline.engine.inference.tokenization import Encoder
from mlbaseline.records import Example
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, PHRASES, TEMPLATE, make_examples

PROMPTING = Prompting(TEMPLATE)
BROKEN = Example("x", {}, LABELS[0], LABELS)
EXAMPLES = (*make_examples(PHRASES, n=30), BROKEN, Example("y", {"text": ""}, LABELS[0], ("a", "")))


@pytest.fixture
def encoder(tiny_model: Path) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(tiny_model), 40)


@pytest.fixture
def cached(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CACHED_FROM_EXAMPLES", 1)
    monkeypatch.setattr(tokens, "_CHUNK_EXAMPLES", 7)


def counting(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects how many prompts each call of the encoder is given."""
    calls: list[int] = []
    encode = encoder.encode_many

    def counted(prompts: Any) -> Any:
        calls.append(len(prompts))
        return encode(prompts)

    monkeypatch.setattr(encoder, "encode_many", counted)
    return calls


def folders() -> list[Path]:
    return sorted((cache_dir() / "tokens").iterdir())


def test_what_comes_back_from_disk_is_what_was_encoded(encoder: Encoder, cached: None) -> None:
    examples = [example for example in EXAMPLES if example is not BROKEN]
    prompts = encode_examples(encoder, PROMPTING, EXAMPLES)
    assert isinstance(prompts, CachedPrompts)
    assert len(prompts) == len(EXAMPLES)
    one_by_one = iter([encoder.encode_many([PROMPTING.prompt(example)])[0] for example in examples])
    for position, example in enumerate(EXAMPLES):
        expected = "DataError: " if example is BROKEN else next(one_by_one)
        if isinstance(expected, str | ValueError):
            assert isinstance(prompts[position], str)
            assert str(expected) in str(prompts[position])
        else:
            assert prompts[position] == expected
    truncated = [
        encoded.truncated for encoded in map(prompts.__getitem__, range(len(prompts))) if not isinstance(encoded, str)
    ]
    assert any(truncated) and not all(truncated)


def test_the_same_texts_are_tokenised_once(encoder: Encoder, cached: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counting(encoder, monkeypatch)
    encode_examples(encoder, PROMPTING, EXAMPLES)
    first = len(calls)
    relabelled = [replace(example, id=f"other {example.id}", target=LABELS[2]) for example in EXAMPLES]
    encode_examples(encoder, PROMPTING, relabelled)
    assert len(calls) == first > 1
    encode_examples(encoder, Prompting(TEMPLATE + " is"), EXAMPLES)
    encode_examples(encoder, PROMPTING, EXAMPLES[1:])
    assert len(folders()) == 3


def test_another_tokenizer_or_length_is_another_matter(encoder: Encoder, tiny_model: Path, cached: None) -> None:
    other = AutoTokenizer.from_pretrained(tiny_model)
    other.add_tokens(["wonderful"])
    for each in (encoder, Encoder(other, 40), Encoder(AutoTokenizer.from_pretrained(tiny_model), 41)):
        encode_examples(each, PROMPTING, EXAMPLES)
    assert len(folders()) == 3


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damage_is_noticed(encoder: Encoder, cached: None, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(encode_examples(encoder, PROMPTING, EXAMPLES))
    (folder,) = folders()
    path = folder / "tokens.int32"
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        content[40] ^= 1
        path.write_bytes(content if damage == "changed" else content[:-4])
    calls = counting(encoder, monkeypatch)
    assert list(encode_examples(encoder, PROMPTING, EXAMPLES)) == before
    assert calls
    assert folders() == [folder]


def test_few_examples_leave_nothing_on_disk(encoder: Encoder, own_cache: Path) -> None:
    assert list(encode_examples(encoder, PROMPTING, EXAMPLES))
    assert not own_cache.exists()


def test_a_text_that_cannot_be_tokenised_costs_no_other(encoder: Encoder) -> None:
    broken = Example("surrogate", {"text": "\ud800"}, LABELS[0], LABELS)
    prompts = list(encode_examples(encoder, PROMPTING, (*EXAMPLES[:3], broken, *EXAMPLES[3:6])))
    assert [isinstance(encoded, str) for encoded in prompts] == [False] * 3 + [True] + [False] * 3
    assert "cannot read" in str(prompts[3])
