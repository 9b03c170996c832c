"""Fine-tuned rungs of a suite file: which options go with which method."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest
import yaml

from mlbaseline.errors import SuiteError
from mlbaseline.suite.reading import parse_suite

BASELINE = """
name: t
task:
  kind: choice
  data: {{source: r.csv}}
  columns: {{text: a, target: b}}
  prompt: "R: {{text}}"
  choices: [bad, good]
  split: {{train: 4, dev: 2, test: 4, seed: 1}}
baselines:
  zero_shot: {{kind: pretrained, model: {{source: m}}}}
  x: {{{x}}}
"""
PEFT = "kind: peft, base: zero_shot, learning_rate: 1.0e-3"


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (f"{PEFT}, method: lora, virtual_tokens: 3", "baselines.x.virtual_tokens: unknown key, got 3; other parts"),
        (f"{PEFT}, method: ia3, rank: 3", "baselines.x.rank: unknown key"),
        (f"{PEFT}, method: prompt_tuning, dora: true", "baselines.x.dora: unknown key"),
        (f"{PEFT}, method: lorra", "baselines.x.method: expected one of lora, ia3, prompt_tuning, prefix_tuning, peft"),
        (PEFT, "baselines.x.method: expected one of lora"),
        (f"{PEFT}, method: prefix_tuning, gradient_checkpointing: true", "drops keys and values"),
        (f"{PEFT}, method: ia3, target_modules: [q_proj]", "give both `target_modules` and `feedforward_modules`"),
        (f"{PEFT}, method: lora, training: {{}}", "baselines.x.training.processes: is missing"),
        (f"{PEFT}, method: lora, training: {{processes: 2, offload: true}}", "leaves all weights on every device"),
        (f"{PEFT}, method: lora, batch_size: 2, training: {{processes: 3}}", "training.processes: expected at most 2"),
        (f"{PEFT}, method: peft", "baselines.x.config: is missing"),
        (f"{PEFT}, method: peft, config: VeraConfig, options: {{task_type: A}}", "task_type: not for the suite to set"),
        ("kind: peft, adapter: {source: a}, base: nobody", "baselines.x.base: unknown baseline 'nobody'"),
        ("kind: peft, adapter: {source: a}, base: zero_shot, epochs: 2", "baselines.x.epochs: unknown key"),
        ("kind: full, model: {source: a}, learning_rate: 1", "baselines.x.learning_rate: unknown key"),
    ],
)
def test_options_of_another_fine_tune_are_errors_at_their_path(x: str, said: str) -> None:
    with pytest.raises(SuiteError, match=re.escape(said)):
        parse_suite(BASELINE.format(x=x))


@pytest.mark.parametrize(
    ("x", "precision", "is_refused"),
    [
        (f"{PEFT}, method: lora, training: {{processes: 2, strategy: fsdp}}", "int4", True),
        ("kind: full, base: zero_shot, learning_rate: 1, training: {processes: 2, strategy: fsdp}", "int4", False),
        (f"{PEFT}, method: lora, training: {{processes: 2, strategy: fsdp}}", "fp16", True),
        (f"{PEFT}, method: lora, training: {{processes: 2}}", "fp16", False),
    ],
)
def test_weights_are_split_in_precisions_that_can_be_split(x: str, precision: str, is_refused: bool) -> None:
    text = BASELINE.format(x=x) + f"evaluation: {{precision: {precision}}}\n"
    refused = pytest.raises(SuiteError, match=r"baselines\.x\.training\.strategy: expected ddp")
    with refused if is_refused else nullcontext():
        parse_suite(text)


@pytest.mark.parametrize(
    ("x", "kind", "is_random", "method"),
    [
        (f"{PEFT}, method: lora, dora: true, rslora: true", "Lora", True, "lora rslora dora"),
        (f"{PEFT}, method: peft, config: VeraConfig, options: {{r: 4}}", "OtherPeft", True, "Vera"),
        ("kind: peft, adapter: {source: a}, base: zero_shot", "ReadyAdapter", False, "adapter, ready"),
        ("kind: full, model: {source: a}", "ReadyModel", False, "full, ready"),
    ],
)
def test_a_fine_tune_is_told_by_what_it_names(x: str, kind: str, is_random: bool, method: str) -> None:
    suite = parse_suite(BASELINE.format(x=x))
    spec = suite.baselines["x"]
    assert (type(spec).__name__, spec.is_random, spec.method_name) == (kind, is_random, method)
    text = yaml.safe_dump(suite.model_dump(mode="json", exclude_none=True))
    assert parse_suite(text).digest == suite.digest, "as it is kept beside its results"
