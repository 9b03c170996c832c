from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import torch

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, PHRASES, SHOTS, TEMPLATE, make_examples
from tests.support.models.plain_scoring import plain_answers

ZERO_SHOT, FEW_SHOT = Prompting(TEMPLATE), Prompting(TEMPLATE, SHOTS)


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def answers_of(
    checkpoint: Checkpoint,
    examples: tuple[Example, ...],
    prompting: Prompting = ZERO_SHOT,
    *,
    batch_tokens: int = 512,
    max_length: int = 200,
    latency_sample: int = 0,
) -> dict[str, Answer]:
    evaluation = Evaluation(batch_tokens=batch_tokens, max_length=max_length, latency_sample=latency_sample)
    answers = list(ChoiceScorer(checkpoint, prompting, LABELS, evaluation).answer(examples))
    assert len(answers) == len(examples)
    return {answer.example_id: answer for answer in answers}


@contextmanager
def counting_tokens(model: Any) -> Iterator[list[int]]:
    """Collects the number of tokens, padding included, of every pass through the model."""
    counts: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, inputs, __: counts.append(inputs[0].numel()))
    try:
        yield counts
    finally:
        hook.remove()


@contextmanager
def replaced_forward(model: Any, forward: Callable[..., Any]) -> Iterator[None]:
    original, model.forward = model.forward, forward
    try:
        yield
    finally:
        model.forward = original


@pytest.mark.parametrize("choices", [LABELS, PHRASES, ("a", PHRASES[2], "b")], ids=["short", "long", "mixed"])
@pytest.mark.parametrize("max_length", [200, 24], ids=["whole", "left cut off"])
@pytest.mark.parametrize("prompting", [ZERO_SHOT, FEW_SHOT, Prompting(TEMPLATE + " "), Prompting("{text}:")])
def test_agrees_with_one_plain_pass_per_choice(
    checkpoint: Checkpoint, choices: tuple[str, ...], max_length: int, prompting: Prompting
) -> None:
    examples = make_examples(choices)
    expected = plain_answers(checkpoint.model, checkpoint.tokenizer, prompting, examples, max_length)
    for example_id, answer in answers_of(checkpoint, examples, prompting, max_length=max_length).items():
        assert answer.loglik_nats == pytest.approx(expected[example_id], abs=1e-4)
        assert answer.prediction == LABELS[expected[example_id].index(max(expected[example_id]))]


def test_an_empty_prompt_stands_behind_the_start_token(checkpoint: Checkpoint) -> None:
    examples = (Example("e", {"text": ""}, "neutral", LABELS),)
    answer = answers_of(checkpoint, examples, Prompting("{text}"))["e"]
    start = Prompting("<s>")
    assert answer.loglik_nats == pytest.approx(
        plain_answers(checkpoint.model, checkpoint.tokenizer, start, examples)["e"], abs=1e-4
    )


def test_the_batch_an_example_is_in_does_not_matter(checkpoint: Checkpoint) -> None:
    examples = make_examples(PHRASES, n=30)
    whole = answers_of(checkpoint, examples, FEW_SHOT, batch_tokens=4096)
    for batch_tokens in (32, 300):
        for example_id, answer in answers_of(checkpoint, examples, FEW_SHOT, batch_tokens=batch_tokens).items():
            assert answer.loglik_nats == pytest.approx(whole[example_id].loglik_nats, abs=1e-5)


def test_results_are_the_same_bits_in_any_order_of_the_examples(checkpoint: Checkpoint) -> None:
    examples = make_examples(PHRASES, n=30)
    forwards, backwards = answers_of(checkpoint, examples), answers_of(checkpoint, examples[::-1])
    assert all(forwards[key].loglik_nats == backwards[key].loglik_nats for key in forwards)


def test_shots_are_read_once_and_a_context_once_for_all_its_choices(checkpoint: Checkpoint) -> None:
    examples = make_examples(PHRASES, n=40)
    contexts = sum(len(checkpoint.tokenizer(ZERO_SHOT.prompt(e).context)["input_ids"]) for e in examples)
    choices = sum(len(checkpoint.tokenizer(" " + phrase)["input_ids"]) - 1 for phrase in PHRASES) * len(examples)
    shots = len(checkpoint.tokenizer(SHOTS)["input_ids"])
    with counting_tokens(checkpoint.model) as counts:
        answers = answers_of(checkpoint, examples, FEW_SHOT)
    assert sum(counts) < 1.1 * (contexts + choices) + shots
    assert sum(answer.tokens_in for answer in answers.values()) > len(examples) * shots, "billed as a client would be"


@pytest.mark.parametrize("prompting", [ZERO_SHOT, FEW_SHOT], ids=["zero-shot", "few-shot"])
def test_what_several_examples_begin_with_is_read_once_for_them(checkpoint: Checkpoint, prompting: Prompting) -> None:
    passage = "the flight was late and I am not happy about it, what a wonderful crew"
    examples = tuple(
        replace(example, fields={"text": f"{passage} {example.fields['text']}"})
        for example in make_examples(PHRASES, n=12)
    )
    expected = plain_answers(checkpoint.model, checkpoint.tokenizer, prompting, examples)
    with counting_tokens(checkpoint.model) as counts:
        answers = answers_of(checkpoint, examples, prompting)
    for example_id, answer in answers.items():
        assert answer.loglik_nats == pytest.approx(expected[example_id], abs=1e-4)
    n_passage = len(checkpoint.tokenizer(passage)["input_ids"])
    assert sum(counts) < sum(answer.tokens_in for answer in answers.values()) + 12 * 40 - 8 * n_passage


def test_one_token_choices_add_no_tokens(checkpoint: Checkpoint) -> None:
    vocabulary = checkpoint.tokenizer.get_vocab()
    words = sorted(token[1:] for token in vocabulary if token.startswith("Ġ") and token[1:].isalpha())
    examples = make_examples(words[:3], n=40)
    with counting_tokens(checkpoint.model) as three:
        answers_of(checkpoint, examples)
    with counting_tokens(checkpoint.model) as one:
        answers_of(checkpoint, tuple(replace(example, choices=(words[0],)) for example in examples))
    assert sum(three) == sum(one)


def test_what_was_cut_off_is_said(checkpoint: Checkpoint) -> None:
    answers = answers_of(checkpoint, make_examples(), max_length=20)
    assert {answer.truncated for answer in answers.values()} == {True, False}
    assert all(answer.error is None for answer in answers.values())


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Example("broken", {}, "neutral", LABELS), "no field 'text'"),
        (Example("broken", {"text": "x"}, "neutral", ("a", "b " * 150, "c")), "max_length is 200"),
    ],
)
def test_an_example_that_cannot_be_asked_is_an_error_among_answers(
    checkpoint: Checkpoint, broken: Example, reason: str
) -> None:
    answers = answers_of(checkpoint, (*make_examples(), broken))
    assert reason in (answers.pop("broken").error or "")
    assert all(answer.error is None and answer.prediction for answer in answers.values())


def test_an_example_that_breaks_the_pass_costs_no_other_its_answer(checkpoint: Checkpoint) -> None:
    examples = make_examples()
    expected = answers_of(checkpoint, examples)
    marked = checkpoint.tokenizer(TEMPLATE.format(**examples[4].fields))["input_ids"][-9:]
    forward = checkpoint.model.forward

    def failing(input_ids: torch.Tensor, **options: Any) -> Any:
        if any(marked == row[i : i + 9] for row in input_ids.tolist() for i in range(len(row))):
            raise RuntimeError("the kernel does not like this example")
        return forward(input_ids=input_ids, **options)

    with replaced_forward(checkpoint.model, failing):
        answers = answers_of(checkpoint, examples)
    assert "does not like" in (answers[examples[4].id].error or "")
    assert answers[examples[4].id].prediction is None
    for example in (*examples[:4], *examples[5:]):
        assert answers[example.id].loglik_nats == pytest.approx(expected[example.id].loglik_nats, abs=1e-5)


@pytest.mark.parametrize("packs", [True, False], ids=["packed", "padded"])
def test_want_of_memory_is_survived_and_remembered(
    checkpoint: Checkpoint, packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbaseline.engine.scoring.log_likelihood_scorer.supports_packing", lambda _: packs)
    examples = make_examples(PHRASES, n=200)
    expected = answers_of(checkpoint, examples)
    passes: list[bool] = []

    def small_memory(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        passes.append(inputs[0].numel() <= 150)
        if not passes[-1]:
            raise torch.OutOfMemoryError("no memory")

    hook = checkpoint.model.get_input_embeddings().register_forward_pre_hook(small_memory)
    try:
        answers = answers_of(checkpoint, examples, batch_tokens=1000)
    finally:
        hook.remove()
    assert passes.count(False) < 10, "what was found to fit is remembered"
    assert len(passes) < (160 if packs else 400), "several rows still go together"
    for example in examples:
        assert answers[example.id].loglik_nats == pytest.approx(expected[example.id].loglik_nats, rel=1e-6, abs=1e-5)


def test_a_model_that_gives_no_numbers_has_errors_not_predictions(tiny_model: Path) -> None:
    broken = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    with torch.no_grad():
        broken.model.get_input_embeddings().weight.fill_(float("nan"))
    for answer in answers_of(broken, make_examples()).values():
        assert answer.prediction is None
        assert "no numbers" in (answer.error or "")
        assert not answer.loglik_nats


def test_of_equally_likely_choices_the_first_is_predicted(tiny_model: Path) -> None:
    undecided = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    with torch.no_grad():
        undecided.model.get_input_embeddings().weight.zero_()
    answers = answers_of(undecided, make_examples(("same", "same", "same")))
    assert {answer.prediction for answer in answers.values()} == {"negative"}


def test_latency_is_measured_alone_on_an_evenly_spread_sample(checkpoint: Checkpoint) -> None:
    answers = answers_of(checkpoint, make_examples(n=40), latency_sample=4)
    timed = sorted(key for key, answer in answers.items() if answer.latency_s is not None)
    assert timed == ["e005", "e015", "e025", "e035"]
    assert all((answers[key].latency_s or 0) > 0 for key in timed)
    assert all(answer.prediction for answer in answers.values())


def test_compute_of_the_examples_adds_up_to_the_time_spent(checkpoint: Checkpoint) -> None:
    started = perf_counter()
    answers = answers_of(checkpoint, make_examples(PHRASES, n=40), FEW_SHOT)
    spent_s = perf_counter() - started
    assert 0.2 * spent_s < sum(answer.compute_s for answer in answers.values()) <= spent_s


def test_tokens_out_are_those_of_the_predicted_choice(checkpoint: Checkpoint) -> None:
    for answer in answers_of(checkpoint, make_examples(PHRASES)).values():
        assert answer.prediction is not None
        phrase = PHRASES[LABELS.index(answer.prediction)]
        assert answer.tokens_out == len(checkpoint.tokenizer(" " + phrase)["input_ids"])
