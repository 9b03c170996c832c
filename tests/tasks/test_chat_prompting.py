"""Prompts through a chat template, against lm-evaluation-harness's own way of building them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.records import Example
from mlbaseline.suite import GenerateTask
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, TASK, make_examples
from tests.support.models.model_prompting import make_prompting
from tests.support.models.tiny_models import write_chat_model

SHOTS = make_examples(n=9)[7:]


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return write_chat_model(tiny_model, tmp_path / "write_chat_model")


def harness_context(model: Path, example: Example, *, system: str | None, multiturn: bool, shots: int) -> str:
    """What lm-eval's tasks build from the same template, examples and options."""
    from datasets import Dataset, DatasetDict
    from lm_eval.api.task import ConfigurableTask
    from transformers import AutoTokenizer

    def documents(found: tuple[Example, ...]) -> list[dict[str, Any]]:
        return [{"text": e.fields["text"], "target": LABELS.index(e.target)} for e in found]

    class Task(ConfigurableTask):
        def download(self, *_: Any, **__: Any) -> None:
            found = {"test": documents((example,)), "train": documents(SHOTS)}
            self.dataset = DatasetDict({split: Dataset.from_list(rows) for split, rows in found.items()})

    task = Task(
        config={
            "task": "t",
            "test_split": "test",
            "fewshot_split": "train",
            "fewshot_config": {"sampler": "first_n"},
            "output_type": "multiple_choice",
            "doc_to_text": TASK.prompt.replace("{text}", "{{text}}"),
            "doc_to_choice": list(LABELS),
            "doc_to_target": "target",
        }
    )
    tokenizer = AutoTokenizer.from_pretrained(str(model))

    def template(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt))

    context = task.fewshot_context(
        documents((example,))[0],
        shots,
        system_instruction=system,
        apply_chat_template=True,
        fewshot_as_multiturn=multiturn,
        chat_template=template,
    )
    assert isinstance(context, str)
    return context


@pytest.mark.parametrize("multiturn", [True, False])
@pytest.mark.parametrize("system", [None, "Answer in one word."])
@pytest.mark.parametrize("shots", [0, 2])
def test_the_prompt_is_that_of_the_harness(model: Path, multiturn: bool, system: str | None, shots: int) -> None:
    example = make_examples(n=1)[0]
    task = TASK.model_copy(update={"chat_template": True, "system": system, "fewshot_as_multiturn": multiturn})
    prompting = make_prompting(task, model, shots=SHOTS[:shots], labels=LABELS)
    prompt = prompting.prompt(example)
    assert prompt.context == harness_context(model, example, system=system, multiturn=multiturn, shots=shots)
    assert prompt.continuations == LABELS  # whose turn it is, the template has said
    assert prompt.context.startswith(prompting.shared_prefix)
    assert len(prompting.shared_prefix) > len("<|user|>")


def test_what_is_learnt_is_what_is_asked(model: Path) -> None:
    task = TASK.model_copy(update={"chat_template": True})
    prompting, example = make_prompting(task, model), make_examples(n=2)[1]
    assert prompting.solved(example, LABELS).context == prompting.prompt(example).context
    assert prompting.solved(example, LABELS).continuations == (example.target,)
    assert prompting.ending == "</s>\n"


def test_a_signature_knows_what_was_said(model: Path) -> None:
    task = TASK.model_copy(update={"chat_template": True, "fewshot_as_multiturn": True, "system": "Be brief."})
    fields = [make_prompting(task, model, shots=s, labels=LABELS).signature_fields() for s in (SHOTS, SHOTS[:1], ())]
    assert fields[0]["prompt.shots"] == 2
    assert fields[0]["prompt.system"] == "Be brief."
    assert len({f["prompt.prefix_sha256"] for f in fields}) == 3
    assert len({f["prompt.chat_template"] for f in fields}) == 1
    plain = make_prompting(TASK, model, shots=SHOTS, labels=LABELS)
    assert isinstance(plain, Prompting)
    assert plain.signature_fields()["prompt.chat_template"] is None


def test_generation_speaks_too(model: Path) -> None:
    task = GenerateTask.model_validate(
        {
            "kind": "generate",
            "data": {"test": "t.csv"},
            "columns": {"text": "text", "target": "target"},
            "prompt": "Say: {text}",
            "chat_template": True,
        }
    )
    shot = replace(make_examples(n=1)[0], choices=(), target="done")
    prompting = make_prompting(task, model, shots=(shot,))
    assert prompting.prompt(shot).context == (
        f"<|user|>Say: {shot.fields['text']} done\n\nSay: {shot.fields['text']}</s>\n<|assistant|>"
    )
    assert prompting.solved(shot, ()).continuations == ("done",)
