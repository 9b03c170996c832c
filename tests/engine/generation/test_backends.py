"""Texts by engines of others are those of our own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mlbaseline.engine.generation.backends import ContinuousWriter
from mlbaseline.engine.generation.decoder import Asked
from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.inference.result_cache import PassCache
from mlbaseline.models.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.engine.builders import SHOTS, TEMPLATE, make_examples

EXAMPLES = make_examples(n=20)
DECODING = Decoding(max_new_tokens=6, stop=("e",))


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def answers_of(
    checkpoint: Checkpoint, way: str, decoding: Decoding = DECODING, cache: PassCache | None = None, sample: int = 1
) -> list[Answer]:
    """By id, without times."""
    evaluation = Evaluation(batch_tokens=256, max_length=120, latency_sample=sample, generate_with=way)
    generator = Generator(checkpoint, Prompting(TEMPLATE, SHOTS), decoding, evaluation, seed=1, cache=cache)
    answers = sorted(generator.answer(EXAMPLES), key=lambda answer: answer.example_id)
    return [replace(answer, compute_s=0.0, latency_s=None) for answer in answers]


@pytest.mark.usefixtures("own_cache")
def test_continuous_batching_writes_the_same_texts(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = answers_of(checkpoint, "engine")
    assert len({answer.prediction for answer in expected}) > 3
    assert len({answer.tokens_out for answer in expected}) > 1, "some texts are stopped"
    before = checkpoint.model.config._attn_implementation
    assert answers_of(checkpoint, "transformers", cache=PassCache({})) == expected
    assert checkpoint.model.config._attn_implementation == before
    monkeypatch.setattr(ContinuousWriter, "_write", lambda *_: pytest.fail("written again"))
    assert answers_of(checkpoint, "transformers", cache=PassCache({}), sample=0) == expected


def test_a_text_that_is_not_written_is_an_error_of_its_example_alone(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = type(checkpoint.model).generate_batch
    asked = [Asked(i, f"e{i}", tuple(range(5, 12 + i))) for i in range(4)]

    def loses_one(model: object, inputs: list[list[int]], **options: object) -> dict[str, object]:
        found = generate(model, inputs, **options)
        return {key: value for key, value in found.items() if len(value.prompt_ids) != 9}

    writer = ContinuousWriter(checkpoint, decoding=Decoding(max_new_tokens=2), batch_tokens=256)
    (writing,) = writer.plan(asked)
    expected = writer(writing)
    monkeypatch.setattr(type(checkpoint.model), "generate_batch", loses_one)
    found = writer(writing)
    assert [item for item in sorted(found) if found[item].error] == [2]
    assert "1 of 1 texts were not written" in str(found[2].error)
    assert all(found[item].values == expected[item].values for item in (0, 1, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="vLLM writes on a GPU, and there is none")
def test_vllm_writes_the_same_texts(checkpoint: Checkpoint) -> None:
    pytest.importorskip("vllm")
    assert answers_of(checkpoint, "vllm") == answers_of(checkpoint, "engine")
