"""Log-likelihoods are the same bits whatever shares their batch: budget, company, order, cache and processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from mlbaseline.engine.generation.decoding_loop import greedy
from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.invariance import TILE_ROWS, FixedTiles
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.engine.inference.worker_pool import WorkerPool
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.scoring.perplexity import TextScorer
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, PHRASES, SHOTS, TEMPLATE, make_examples

PASSAGE = "the flight was late and I am not happy about it, what a wonderful crew, see you all next year I hope. " * 2
EXAMPLES = (
    *make_examples(PHRASES, n=40),
    *(Example(f"p{i:03}", {"text": f"{PASSAGE} {i}"}, LABELS[0], PHRASES) for i in range(8)),
)
BUDGETS = (64, 300, 4096)


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def checkpoint(request: pytest.FixtureRequest, tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision=request.param, device="cpu")


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def evaluation_of(batch_tokens: int) -> Evaluation:
    return Evaluation(batch_tokens=batch_tokens, max_length=120, latency_sample=0, invariant=True)


def choices_of(
    checkpoint: Checkpoint, examples: Sequence[Example], budget: int, prefix: str = "", execution: Execution = LOCAL
) -> dict[str, tuple[float, ...]]:
    scorer = ChoiceScorer(checkpoint, Prompting(TEMPLATE, prefix), LABELS, evaluation_of(budget), execution)
    answers = list(scorer.answer(examples))
    assert not any(answer.error for answer in answers)
    return {answer.example_id: answer.loglik_nats for answer in answers}


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("prefix", ["", SHOTS], ids=["zero-shot", "few-shot"])
def test_choices_do_not_depend_on_budget_and_company(checkpoint: Checkpoint, prefix: str) -> None:
    expected = choices_of(checkpoint, EXAMPLES, 4096, prefix)
    for budget in BUDGETS[:2]:
        assert choices_of(checkpoint, EXAMPLES, budget, prefix) == expected
    for some in (EXAMPLES[::2], EXAMPLES[45:], EXAMPLES[7:8]):
        ids = [example.id for example in some]
        assert choices_of(checkpoint, some, 4096, prefix) == {id: expected[id] for id in ids}


def test_perplexities_do_not_depend_on_budget_and_company(checkpoint: Checkpoint) -> None:
    def sums_of(examples: Sequence[Example], budget: int) -> dict[str, float]:
        scorer = TextScorer(checkpoint, Prompting("{text}"), evaluation_of(budget), stride=50)
        return {answer.example_id: answer.sums["nats"] for answer in scorer.answer(examples)}

    expected = sums_of(EXAMPLES, 4096)
    assert sums_of(EXAMPLES, 64) == sums_of(EXAMPLES, 300) == expected
    assert sums_of(EXAMPLES[40:43], 4096) == {e.id: expected[e.id] for e in EXAMPLES[40:43]}


@pytest.mark.usefixtures("own_cache")
def test_a_partly_cached_split_and_other_processes_give_the_same_bits(checkpoint: Checkpoint, tiny_model: Path) -> None:
    expected = choices_of(checkpoint, EXAMPLES, 300)
    choices_of(checkpoint, EXAMPLES[::3], 4096, execution=Execution(ResultCache({})))
    load = partial(load_checkpoint, tiny_model, precision=checkpoint.precision)
    execution = Execution(ResultCache({}), WorkerPool(2, load, "cpu"))
    assert choices_of(checkpoint, EXAMPLES, 300, execution=execution) == expected


def test_it_differs_from_the_default_by_rounding_only(tiny_model: Path) -> None:
    checkpoint = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    usual = Evaluation(batch_tokens=300, max_length=120, latency_sample=0)
    answers = ChoiceScorer(checkpoint, Prompting(TEMPLATE, SHOTS), LABELS, usual).answer(EXAMPLES)
    invariant = choices_of(checkpoint, EXAMPLES, 300, SHOTS)
    for answer in answers:
        assert invariant[answer.example_id] == pytest.approx(answer.loglik_nats, abs=1e-4)


def test_products_in_tiles_are_the_same_products() -> None:
    layer, inputs = torch.nn.Linear(8, 8), torch.randn(3, TILE_ROWS - 1, 8)
    with torch.inference_mode(), FixedTiles():
        outputs = layer(inputs)
        assert torch.equal(layer(inputs[1, 5]), outputs[1, 5])
        added = torch.addmm(layer.bias, inputs[2], layer.weight.T)
    assert outputs.shape == inputs.shape
    assert torch.allclose(outputs, layer(inputs), atol=1e-5)
    assert torch.allclose(added, outputs[2], atol=1e-5)


def logits_of(
    checkpoint: Checkpoint, examples: Sequence[Example], budget: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[str | None, torch.Tensor]]:
    """Example ─▶ its text, and the logits of all of its steps."""
    steps: list[torch.Tensor] = []

    def keep(logits: torch.Tensor, rows: Sequence[int]) -> list[int]:
        steps.append(logits.clone())
        return greedy(logits, rows)

    monkeypatch.setattr("mlbaseline.engine.generation.decoder.greedy", keep)
    evaluation = evaluation_of(budget)
    found = {}
    for answer in Generator(checkpoint, Prompting(TEMPLATE, SHOTS), Decoding(6), evaluation).answer(examples):
        found[answer.example_id] = (answer.prediction, torch.cat(steps))
        steps.clear()
    return found


def test_texts_come_of_the_same_logits_whatever_is_generated_beside_them(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits_of(checkpoint, EXAMPLES[:12], 4096, monkeypatch)
    assert len({len(logits) for _, logits in expected.values()}) == 1
    for examples, budget in ((EXAMPLES[11::-1], 64), (EXAMPLES[3:9:2], 300)):
        for name, (text, logits) in logits_of(checkpoint, examples, budget, monkeypatch).items():
            assert text == expected[name][0]
            assert torch.equal(logits, expected[name][1])
