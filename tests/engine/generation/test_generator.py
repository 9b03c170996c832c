"""Texts against transformers' own `generate`, whatever the batch; stop sequences, drawing, and faults."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch

from mlbaseline.engine.generation.decoding_loop import decode, greedy
from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.generation.stop_criteria import end_tokens
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import SHOTS, TEMPLATE, make_examples

GREEDY = Decoding(max_new_tokens=12)
DRAWN = Decoding(max_new_tokens=8, temperature=1.5, samples=3)


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def open_examples(n: int = 9) -> tuple[Example, ...]:
    return tuple(replace(example, choices=(), target="good") for example in make_examples(n=n))


def answers_of(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    decoding: Decoding = GREEDY,
    *,
    prompting: Prompting | None = None,
    seed: int | None = 0,
    **options: Any,
) -> dict[str, Answer]:
    evaluation = Evaluation(**{"max_length": 200, "latency_sample": 0, "batch_tokens": 128, **options})
    prompting = prompting or Prompting(TEMPLATE)
    generator = Generator(checkpoint, prompting, decoding, evaluation, seed=seed)
    return {answer.example_id: answer for answer in generator.answer(examples)}


def generated(checkpoint: Checkpoint, context: str, max_new_tokens: int, max_length: int = 200) -> list[int]:
    """New tokens by transformers, one prompt at a time."""
    ids = checkpoint.tokenizer(context)["input_ids"][-(max_length - max_new_tokens) :]
    out = checkpoint.model.generate(
        torch.tensor([ids]), do_sample=False, max_new_tokens=max_new_tokens, pad_token_id=0, use_cache=True
    )
    return out[0, len(ids) :].tolist()


@pytest.mark.parametrize("prompting", [Prompting(TEMPLATE), Prompting(TEMPLATE, SHOTS, 2), Prompting("{text}")])
def test_greedy_is_transformers_token_by_token(checkpoint: Checkpoint, prompting: Prompting) -> None:
    examples = open_examples()
    found = answers_of(checkpoint, examples, prompting=prompting)
    lengths = set()
    for example in examples:
        tokens = generated(checkpoint, prompting.prompt(example).context, 12)
        lengths.add(len(tokens))
        assert found[example.id].tokens_out == len(tokens)
        assert found[example.id].prediction == checkpoint.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        assert found[example.id].error is None


def test_rows_end_by_themselves_and_leave_the_batch(checkpoint: Checkpoint) -> None:
    contexts = [tuple(checkpoint.tokenizer(f"text {i}" * (i + 1))["input_ids"]) for i in range(8)]
    ends_at = [1 + 2 * i for i in range(8)]
    longest = [generated(checkpoint, f"text {i}" * (i + 1), 16) for i in range(8)]
    until = {tuple(tokens[:n]) for tokens, n in zip(longest, ends_at, strict=True)}
    sizes: list[int] = []

    def select(logits: torch.Tensor, rows: Sequence[int]) -> list[int]:
        sizes.append(len(rows))
        return greedy(logits, rows)

    texts = decode(
        checkpoint.model,
        contexts,
        prefix=None,
        n_samples=1,
        select_tokens=select,
        is_finished=lambda tokens: tuple(tokens) in until,
    )
    assert texts == [tokens[:n] for tokens, n in zip(longest, ends_at, strict=True)]
    assert sizes[0] == 8
    assert sizes[-1] == 1


def test_a_text_is_cut_at_the_first_stop_sequence(checkpoint: Checkpoint) -> None:
    examples = open_examples()
    whole = answers_of(checkpoint, examples, Decoding(max_new_tokens=24))
    text = whole["e000"].prediction
    assert text is not None
    stop = text[9:12]
    found = answers_of(checkpoint, examples, Decoding(max_new_tokens=24, stop=(stop, "never said")))
    assert found["e000"].prediction == text[: text.find(stop)].strip()
    assert found["e000"].tokens_out < whole["e000"].tokens_out
    for id, answer in found.items():
        said = whole[id].prediction
        assert said is not None and answer.prediction == said.split(stop)[0].strip()


def test_what_is_extracted_is_the_answer_and_the_text_is_kept(checkpoint: Checkpoint) -> None:
    found = answers_of(checkpoint, open_examples(3), replace(GREEDY, extract=r"(\w)\w*"))
    for answer in found.values():
        assert answer.raw is not None and answer.prediction is not None
        assert len(answer.prediction) <= 1


def test_a_draw_depends_on_seed_and_example_alone(checkpoint: Checkpoint) -> None:
    examples = open_examples()
    together = answers_of(checkpoint, examples, DRAWN)
    assert all(len(answer.samples) == 3 and answer.samples[0] == answer.prediction for answer in together.values())
    assert len({answer.samples for answer in together.values()}) > 5
    alone = {id: answer for e in examples for id, answer in answers_of(checkpoint, [e], DRAWN).items()}
    few_tokens = answers_of(checkpoint, examples[::-1], DRAWN, batch_tokens=40)
    for other in (alone, few_tokens):
        assert {id: answer.samples for id, answer in other.items()} == {id: a.samples for id, a in together.items()}
    assert answers_of(checkpoint, examples, DRAWN, seed=1)["e000"].samples != together["e000"].samples


def test_draws_follow_the_models_probabilities(checkpoint: Checkpoint) -> None:
    example = open_examples(1)[0]
    decoding = Decoding(max_new_tokens=1, temperature=0.7, samples=400)
    answer = answers_of(checkpoint, [example], decoding, batch_tokens=100_000)["e000"]
    ids = torch.tensor([checkpoint.tokenizer(Prompting(TEMPLATE).prompt(example).context)["input_ids"]])
    with torch.inference_mode():
        shares = (checkpoint.model(input_ids=ids).logits[0, -1].float() / 0.7).softmax(-1)
    likely = int(shares.argmax())
    counts = Counter(answer.samples)
    share = counts[checkpoint.tokenizer.decode([likely]).strip()] / 400
    assert share == pytest.approx(float(shares[likely]), abs=4 * (0.25 / 400) ** 0.5)


def test_what_is_drawn_needs_a_seed(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="give a seed"):
        answers_of(checkpoint, open_examples(1), DRAWN, seed=None)


def test_a_prompt_too_long_loses_its_left(checkpoint: Checkpoint) -> None:
    examples = open_examples(5)
    found = answers_of(checkpoint, examples, max_length=24)
    for example in examples:
        context = Prompting(TEMPLATE).prompt(example).context
        tokens = generated(checkpoint, context, 12, max_length=24)
        answer = found[example.id]
        assert answer.prediction == checkpoint.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        assert answer.truncated == (len(checkpoint.tokenizer(context)["input_ids"]) > 12)
    assert any(answer.truncated for answer in found.values())


def test_no_room_for_a_prompt_is_said(checkpoint: Checkpoint) -> None:
    answer = answers_of(checkpoint, open_examples(1), max_length=12)["e000"]
    assert answer.error is not None and "leaves no room" in answer.error


def test_an_example_that_fails_costs_no_other(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = (*open_examples(5), Example("e9", {}, "good", ()))
    expected = answers_of(checkpoint, examples[:5])
    forward, asked = checkpoint.model.forward, checkpoint.tokenizer(" no 3\nSentiment:")["input_ids"]

    def failing(input_ids: torch.Tensor, **more: Any) -> Any:
        if any(row[-len(asked) :] == asked for row in input_ids.tolist()):
            raise torch.OutOfMemoryError("no room")
        return forward(input_ids=input_ids, **more)

    failing.__signature__ = signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(checkpoint.model, "forward", failing)
    found = answers_of(checkpoint, examples)
    assert found["e9"].error is not None and "no field 'text'" in found["e9"].error
    assert found["e003"].error is not None and "no room" in found["e003"].error
    for id in ("e000", "e001", "e002", "e004"):
        assert found[id].prediction == expected[id].prediction


def test_some_are_timed_alone_and_all_say_what_they_cost(checkpoint: Checkpoint) -> None:
    found = answers_of(checkpoint, open_examples(6), latency_sample=2)
    assert sum(answer.latency_s is not None for answer in found.values()) == 2
    assert all(answer.compute_s > 0 and answer.tokens_in > 0 for answer in found.values())


def test_every_token_that_ends_a_text_is_known(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**config, "eos_token_id": [5, 7]}))
    assert end_tokens(load_checkpoint(folder, precision="fp32", device="cpu")) == {1, 5, 7}
