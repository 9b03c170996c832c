"""Texts by vLLM, on whatever it runs on here: `make test-vllm` has a build for processors."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from peft import get_peft_model

from mlbaseline.engine.generation.decoding_batch import DecodingRequest
from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.generation.vllm_decoder import VllmDecoder, _own_environment
from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import SHOTS, TEMPLATE, make_examples

EXAMPLES = make_examples(n=20)
GREEDY = Decoding(max_new_tokens=6, stop=("e",))
DRAWN = Decoding(max_new_tokens=6, temperature=1.0, samples=3)


@pytest.fixture(scope="module")
def checkpoint(vllm_model: Path) -> Checkpoint:
    return load_checkpoint(vllm_model, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def running(checkpoint: Checkpoint) -> Iterator[VllmDecoder]:
    """A decoder whose vLLM has started."""
    decoder = VllmDecoder(checkpoint, decoding=GREEDY, max_length=120, seed=None)
    decoder(*decoder.make_batches([DecodingRequest(0, "first", (5, 6, 7))]))
    yield decoder


def generator(
    checkpoint: Checkpoint, way: str, decoding: Decoding, *, seed: int = 1, execution: Execution = LOCAL
) -> Generator:
    evaluation = Evaluation(batch_tokens=256, max_length=120, latency_sample=0, generate_with=way)
    return Generator(checkpoint, Prompting(TEMPLATE, SHOTS), decoding, evaluation, execution, seed=seed)


def by_vllm(running: VllmDecoder, checkpoint: Checkpoint, decoding: Decoding, *, seed: int = 1) -> Generator:
    """A generator on the vLLM that runs: one takes half a minute to start."""
    made = generator(checkpoint, "vllm", decoding, seed=seed)
    assert isinstance(made._decoder, VllmDecoder)
    made._decoder._checkpoint, made._decoder._llm = None, running._llm
    return made


def answers_of(model: Generator, examples: Sequence = EXAMPLES) -> list[Answer]:
    """By id, without times."""
    answers = sorted(model.answer(examples), key=lambda answer: answer.example_id)
    return [replace(answer, compute_s=0.0, latency_s=None, batch=None, reference_s=None) for answer in answers]


def engines() -> list[psutil.Process]:
    """What runs under this process and is vLLM's."""
    return [
        child for child in psutil.Process().children(recursive=True) if "resource_tracker" not in str(child.cmdline())
    ]


@pytest.mark.vllm
def test_greedy_texts_are_those_of_the_engine_and_stop_as_they_do(running: VllmDecoder, checkpoint: Checkpoint) -> None:
    expected = answers_of(generator(checkpoint, "engine", GREEDY))
    assert len({answer.prediction for answer in expected}) > 3
    assert len({answer.tokens_out for answer in expected}) > 1, "some texts are stopped"
    assert answers_of(by_vllm(running, checkpoint, GREEDY)) == expected
    several = Decoding(max_new_tokens=9, stop=("\n", "ee", "t "))
    ours = answers_of(generator(checkpoint, "engine", several))
    assert answers_of(by_vllm(running, checkpoint, several)) == ours


@pytest.mark.vllm
def test_samples_follow_from_seed_example_and_number_alone(running: VllmDecoder, checkpoint: Checkpoint) -> None:
    first = answers_of(by_vllm(running, checkpoint, DRAWN, seed=1))
    assert all(len(answer.samples) == 3 for answer in first)
    assert sum(len(set(answer.samples)) > 1 for answer in first) > 15
    assert answers_of(by_vllm(running, checkpoint, DRAWN, seed=1), EXAMPLES[7:9]) == first[7:9], "in other company"
    second = answers_of(by_vllm(running, checkpoint, DRAWN, seed=2))
    shared = [set(one.samples) & set(other.samples) for one, other in zip(first, second, strict=True)]
    assert sum(map(bool, shared)) < 10, "a seed shares no samples with the next one, but by chance"


@pytest.mark.vllm
def test_texts_are_drawn_for_more_prompts_than_vllm_reads_at_once(running: VllmDecoder, checkpoint: Checkpoint) -> None:
    decoder = by_vllm(running, checkpoint, DRAWN)._decoder
    requests = [DecodingRequest(i, f"e{i}", tuple(5 + (i * j + i) % 97 for j in range(110))) for i in range(90)]
    (batch,) = decoder.make_batches(requests)
    results = decoder(batch)  # 9,900 tokens
    assert not [result.error for result in results.values() if result.error]


@pytest.mark.vllm
def test_a_prompt_that_vllm_refuses_is_an_error_of_its_example_alone(running: VllmDecoder) -> None:
    requests = [DecodingRequest(i, f"e{i}", tuple(range(5, 8 + i))) for i in range(3)]
    long = DecodingRequest(3, "long", (5,) * 300)
    (batch,) = running.make_batches([*requests, long])
    results = running(batch)
    assert [number for number in sorted(results) if results[number].error] == [3]
    assert "120" in str(results[3].error)
    (alone,) = running.make_batches(requests)
    assert all(results[number].values == result.values for number, result in running(alone).items())


@pytest.mark.vllm
@pytest.mark.usefixtures("own_cache", "running")
def test_nothing_starts_for_cached_texts_and_nothing_is_left_behind(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, environment = set(engines()), dict(os.environ)
    model = generator(checkpoint, "vllm", GREEDY, execution=Execution(ResultCache({})))
    assert set(engines()) == before, "a rung that is opened has not started it yet"
    expected = answers_of(model)
    started = set(engines()) - before
    assert started
    del model
    gc.collect()
    assert not psutil.wait_procs(started, timeout=30)[1], "its processes end with it"
    assert dict(os.environ) == environment
    monkeypatch.setattr(VllmDecoder, "_start", lambda *_: pytest.fail("started"))
    assert answers_of(generator(checkpoint, "vllm", GREEDY, execution=Execution(ResultCache({})))) == expected


@pytest.mark.vllm
def test_what_keeps_vllm_from_starting_is_said(checkpoint: Checkpoint) -> None:
    decoder = VllmDecoder(checkpoint, decoding=GREEDY, max_length=5000, seed=None)  # the model has 256 positions
    (batch,) = decoder.make_batches([DecodingRequest(0, "first", (5, 6, 7))])
    with pytest.raises(
        MlbaselineError, match=r"(?s)generate_with: vllm does not start .*256.* Without `generate_with`"
    ):
        decoder(batch)


@pytest.mark.vllm
def test_the_end_of_vllm_is_no_answer(tiny_model: Path) -> None:
    odd = load_checkpoint(tiny_model, precision="fp32", device="cpu")  # no kernel of vLLM has 12 values a head
    with pytest.raises(MlbaselineError, match=r"generate_with: vllm ended in the middle of a batch"):
        answers_of(generator(odd, "vllm", GREEDY))


def test_an_adapter_is_refused_before_anything_starts(checkpoint: Checkpoint, tiny_model: Path) -> None:
    from peft import LoraConfig

    own = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    adapted = replace(own, model=get_peft_model(own.model, LoraConfig(r=2, target_modules=["q_proj"])))
    with pytest.raises(MlbaselineError, match=r"generate_with: vllm takes whole models, .* LORA"):
        VllmDecoder(adapted, decoding=GREEDY, max_length=120, seed=None)


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with _own_environment():
        assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG", "what the user has set stays"
        assert os.environ["OMP_NUM_THREADS"] == str(torch.get_num_threads())
        os.environ["LD_PRELOAD"] = "of-vllm.so"
        os.environ["VLLM_LOGGING_LEVEL"] = "changed"
        del os.environ["PATH"]
    assert dict(os.environ) == before
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "0")
    with _own_environment(invariant=True):
        assert os.environ["VLLM_BATCH_INVARIANT"] == "1", "the suite decides"
    assert os.environ["VLLM_BATCH_INVARIANT"] == "0"
