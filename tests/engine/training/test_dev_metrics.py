"""What is learnt of free texts and whole texts, and what an epoch is chosen by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.training.dev_metrics import measure_dev
from mlbaseline.engine.training.job import TrainingJob, make_sequences
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.progress import shown_on
from mlbaseline.suite import Evaluation, Full, GenerateTask, PerplexityTask, Task
from tests.support.ladders.choice_task import make_data
from tests.support.models.model_prompting import make_prompting
from tests.support.models.tiny_models import write_chat_model
from tests.support.noting_display import Notes

DATA = {"data": {"test": "t.csv"}}
GENERATE = GenerateTask.model_validate(
    {"kind": "generate", **DATA, "columns": {"text": "text", "target": "target"}, "prompt": "{text}:"}
).model_copy(update={"max_new_tokens": 4})
PERPLEXITY = PerplexityTask.model_validate({"kind": "perplexity", **DATA, "columns": {"text": "text"}})


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def job_of(folder: Path, task: Task, *, select: str = "nll_nats", max_length: int = 64) -> TrainingJob:
    def plain(split: str, n: int):
        data = make_data(split, n)
        return replace(data, examples=tuple(replace(e, choices=()) for e in data.examples), labels=())

    return TrainingJob(
        task=task,
        spec=Full.model_validate({"kind": "full", "base": "b", "learning_rate": 1e-3, "select": select}),
        seed=0,
        base=FetchedAsset(folder, "0" * 64),
        base_source="tiny",
        train=plain("train", 6),
        dev=plain("dev", 5),
        prompting=make_prompting(task, folder),
        evaluation=Evaluation(max_length=max_length, latency_sample=0),
        precision="fp32",
        device="cpu",
    )


def nats_of(checkpoint: Checkpoint, read: tuple[int, ...], answer: tuple[int, ...]) -> float:
    with torch.inference_mode():
        log_probs = checkpoint.model(input_ids=torch.tensor([read])).logits[0].float().log_softmax(-1)
    first = len(read) - len(answer)
    return -sum(float(log_probs[first + i, token]) for i, token in enumerate(answer))


def test_an_answer_is_learnt_with_its_end(checkpoint: Checkpoint, tiny_model: Path) -> None:
    job = job_of(tiny_model, GENERATE)
    sequences = make_sequences(job, checkpoint, job.train)
    first = min(job.train.examples, key=lambda example: example.id)
    whole = checkpoint.tokenizer(f"{first.fields['text']}: {first.target}")["input_ids"]
    assert sequences[0].targets[-1] == checkpoint.tokenizer.eos_token_id
    assert [*sequences[0].input_tokens] == whole
    assert checkpoint.tokenizer.decode(sequences[0].targets[:-1]) == f" {first.target}"


def test_in_a_conversation_the_templates_end_is_learnt(tiny_model: Path, tmp_path: Path) -> None:
    folder = write_chat_model(tiny_model, tmp_path / "write_chat_model")
    job = job_of(folder, GENERATE.model_copy(update={"chat_template": True}))
    checkpoint = load_checkpoint(folder, precision="fp32", device="cpu")
    sequence = make_sequences(job, checkpoint, job.train)[0]
    assert checkpoint.tokenizer.decode(sequence.targets).endswith("</s>")
    assert checkpoint.tokenizer.decode(sequence.input_tokens).startswith("<|user|>it is")
    assert "training.chat_template" in job.signature_fields()


def test_of_a_text_every_token_is_learnt_once(checkpoint: Checkpoint, tiny_model: Path) -> None:
    job = job_of(tiny_model, PERPLEXITY, max_length=8)
    sequences = make_sequences(job, checkpoint, job.train)
    texts = [e.fields["text"] for e in sorted(job.train.examples, key=lambda e: e.id)]
    assert checkpoint.tokenizer.decode([t for s in sequences for t in s.targets]) == "".join(texts)
    assert all(len(sequence.input_tokens) <= 8 for sequence in sequences)


@pytest.mark.parametrize("task", [GENERATE, PERPLEXITY], ids=["generate", "perplexity"])
def test_an_epoch_is_chosen_by_what_the_right_texts_cost(checkpoint: Checkpoint, tiny_model: Path, task: Task) -> None:
    job = job_of(tiny_model, task)
    assert job.dev is not None
    sequences = make_sequences(job, checkpoint, job.dev)
    expected = sum(nats_of(checkpoint, sequence.input_tokens, sequence.targets) for sequence in sequences) / len(
        job.dev.examples
    )
    with shown_on(shown := Notes()):
        found = measure_dev(job, checkpoint, description="dev")
    assert ("dev", 5) in shown.notes and shown.notes[-1] == ("dev", "over")
    assert found["nll_nats"] == pytest.approx(expected, abs=1e-3)
    assert ("bits_per_byte" in found) == (task.kind == "perplexity")
    assert "exact_match" not in found  # nobody asked for texts


def test_texts_are_generated_where_they_choose(checkpoint: Checkpoint, tiny_model: Path) -> None:
    found = measure_dev(job_of(tiny_model, GENERATE, select="exact_match"), checkpoint)
    assert {"nll_nats", "exact_match", "chrf"} <= found.keys()
