"""Texts by transformers' continuous batching are those of our engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlbaseline.engine.generation.continuous_batching import ContinuousBatchingDecoder
from mlbaseline.engine.generation.decoding_batch import DecodingRequest
from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import SHOTS, TEMPLATE, make_examples

EXAMPLES = make_examples(n=20)
DECODING = Decoding(max_new_tokens=6, stop=("e",))


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def answers_of(
    checkpoint: Checkpoint, way: str, decoding: Decoding = DECODING, execution: Execution = LOCAL, sample: int = 1
) -> list[Answer]:
    """By id, without times."""
    evaluation = Evaluation(batch_tokens=256, max_length=120, latency_sample=sample, generate_with=way)
    generator = Generator(checkpoint, Prompting(TEMPLATE, SHOTS), decoding, evaluation, execution, seed=1)
    answers = sorted(generator.answer(EXAMPLES), key=lambda answer: answer.example_id)
    return [replace(answer, compute_s=0.0, latency_s=None, batch=None, reference_s=None) for answer in answers]


@pytest.mark.usefixtures("own_cache")
def test_continuous_batching_generates_the_same_texts(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = answers_of(checkpoint, "engine")
    assert len({answer.prediction for answer in expected}) > 3
    assert len({answer.tokens_out for answer in expected}) > 1, "some texts are stopped"
    before = checkpoint.model.config._attn_implementation
    assert answers_of(checkpoint, "transformers", execution=Execution(ResultCache({}))) == expected
    assert checkpoint.model.config._attn_implementation == before
    monkeypatch.setattr(ContinuousBatchingDecoder, "_decode", lambda *_: pytest.fail("generated again"))
    assert answers_of(checkpoint, "transformers", execution=Execution(ResultCache({})), sample=0) == expected


def test_a_text_that_is_not_generated_is_an_error_of_its_example_alone(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = type(checkpoint.model).generate_batch
    requests = [DecodingRequest(i, f"e{i}", tuple(range(5, 12 + i))) for i in range(4)]

    def loses_one(model: object, inputs: list[list[int]], **options: object) -> dict[str, object]:
        outputs = generate(model, inputs, **options)
        return {key: value for key, value in outputs.items() if len(value.prompt_ids) != 9}

    decoder = ContinuousBatchingDecoder(checkpoint, decoding=Decoding(max_new_tokens=2), batch_tokens=256)
    (batch,) = decoder.make_batches(requests)
    expected = decoder(batch)
    monkeypatch.setattr(type(checkpoint.model), "generate_batch", loses_one)
    results = decoder(batch)
    assert [item for item in sorted(results) if results[item].error] == [2]
    assert "1 of 1 texts were not generated" in str(results[2].error)
    assert all(results[item].values == expected[item].values for item in (0, 1, 3))
