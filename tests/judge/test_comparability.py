"""What may not be compared is refused by name and value; what only has to be known is told."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.errors import IncomparableError
from mlbaseline.judge.comparability import (
    RULES,
    measured_on,
    mismatches,
    one_tokenizer,
    require_comparable,
    require_same_unit,
    rule_of,
    same_hardware,
    same_training,
    same_unit,
    software_warnings,
)
from mlbaseline.records import Mismatch, Signature
from mlbaseline.results import CompletedEvaluation
from tests.support.comparisons.judged import MACHINE, SIGNATURE, standing, table, task_data

DATA = task_data(8)
RIGHT = np.ones(8, dtype=bool)


@pytest.mark.parametrize(
    "field", ["data__digest", "data__split", "choices__digest", "metric__version", "prompt__template"]
)
def test_what_the_rungs_share_must_agree(field: str) -> None:
    ours, theirs = table(DATA, RIGHT), table(DATA, RIGHT, baseline="b", **{field: "other"})
    name = field.replace("__", ".")
    with pytest.raises(IncomparableError, match=rf"a and b differ in {name}: .* against 'other'") as caught:
        require_comparable([ours, theirs])
    assert caught.value.exit_code == 5


def test_every_refusal_is_named_at_once() -> None:
    tables = [table(DATA, RIGHT), table(DATA, RIGHT, baseline="b", data__digest="x", prompt__template="y")]
    with pytest.raises(IncomparableError) as caught:
        require_comparable(tables)
    assert "data.digest" in str(caught.value) and "prompt.template" in str(caught.value)


def test_a_rungs_own_nature_may_differ() -> None:
    tables = [table(DATA, RIGHT), table(DATA, RIGHT, baseline="b", model__sha256="other", prompt__shots=4, seed=1)]
    assert require_comparable(tables) == ()


def test_how_it_was_computed_is_a_warning() -> None:
    found = require_comparable([table(DATA, RIGHT), table(DATA, RIGHT, baseline="b", engine__precision="bf16")])
    assert found == (Mismatch("engine.precision", "fp32", "bf16", "warn"),)


def test_processes_that_trained_together_are_a_warning_beside_one() -> None:
    trained = {"training__gradient_checkpointing": False, "training__kind": "full"}
    alone, untrained = table(DATA, RIGHT, **trained), table(DATA, RIGHT, baseline="c")
    together = table(DATA, RIGHT, baseline="b", **trained, training__strategy="fsdp", training__processes=2)
    assert require_comparable([alone, untrained]) == require_comparable([together, untrained]) == ()
    assert require_comparable([alone, together]) == (
        Mismatch("training.processes", 1, 2, "warn"),
        Mismatch("training.strategy", "none", "fsdp", "warn"),
    )


def test_offload_and_checkpointing_matter_for_seconds_and_memory_alone() -> None:
    trained = {"training__kind": "full", "training__strategy": "fsdp", "training__processes": 2}
    plain = table(DATA, RIGHT, **trained, training__gradient_checkpointing=False)
    saving = table(DATA, RIGHT, baseline="b", **trained, training__gradient_checkpointing=True, training__offload=True)
    assert require_comparable([plain, saving]) == ()
    ours, theirs = (
        standing(made.baseline, measured_on=measured_on([CompletedEvaluation("r", made, {}, MACHINE)]))
        for made in (plain, saving)
    )
    assert {m.field for m in same_training(ours, theirs)} == {"training.gradient_checkpointing", "training.offload"}
    assert same_training(ours, standing("untrained")) == same_hardware(ours, theirs) == ()


def test_a_rule_without_prompt_and_engine_is_comparable() -> None:
    rule = {key: value for key, value in SIGNATURE.items() if not key.startswith(("prompt.", "engine."))}
    assert mismatches(Signature(SIGNATURE), Signature(rule)) == ()


def test_unknown_data_is_refused_not_assumed() -> None:
    without = {key: value for key, value in SIGNATURE.items() if key != "data.digest"}
    assert mismatches(Signature(SIGNATURE), Signature(without)) == (Mismatch("data.digest", "d" * 64, None, "refuse"),)


def test_a_field_of_unknown_kind_is_refused() -> None:
    assert [m.severity for m in mismatches(Signature({**SIGNATURE, "novelty": 1}), Signature(SIGNATURE))] == ["refuse"]


def test_other_examples_under_the_same_signature() -> None:
    with pytest.raises(IncomparableError, match="2 only in the first"):
        require_comparable([table(task_data(10), np.ones(10, dtype=bool)), table(DATA, RIGHT, baseline="b")])


@pytest.mark.parametrize("field", ["prompt__template", "metric__version", "engine__precision"])
def test_what_is_unknown_warns_instead_of_refusing(field: str) -> None:
    name = field.replace("__", ".")
    ours, theirs = table(DATA, RIGHT), table(DATA, RIGHT, baseline="b", **{field: "unknown"})
    assert require_comparable([ours, theirs]) == (Mismatch(name, SIGNATURE[name], "unknown", "warn"),)


def test_two_unknowns_are_not_known_to_be_equal() -> None:
    unknown = Signature({**SIGNATURE, "prompt.template": "unknown"})
    assert mismatches(unknown, unknown) == (Mismatch("prompt.template", "unknown", "unknown", "warn"),)


@pytest.mark.parametrize("field", ["data.digest", "data.split", "choices.digest"])
def test_data_and_choices_have_to_be_known(field: str) -> None:
    found = mismatches(Signature(SIGNATURE), Signature({**SIGNATURE, field: "unknown"}))
    assert [mismatch.severity for mismatch in found] == ["refuse"]


@pytest.mark.parametrize(
    ("field", "severity", "costs"),
    [
        ("data.digest", "refuse", False),
        ("metric.version", "refuse", False),
        ("choices.labels", "refuse", False),
        ("choices.normalisation", "refuse", False),
        ("engine.precision", "warn", False),
        ("engine.batch_tokens", "warn", True),
        ("engine.version", "warn", False),
        ("engine.device", "warn", False),
        ("hardware.device_name", "cost", True),
        ("cost.usd_per_hour", "cost", False),
        ("software.torch", "warn", False),
        ("software.platform", "own", False),
        ("prompt.shots", "own", False),
        ("something.new", "refuse", False),
    ],
)
def test_every_field_has_a_severity(field: str, severity: str, costs: bool) -> None:
    assert (rule_of(field).severity, rule_of(field).costs) == (severity, costs)


def test_no_rule_is_hidden_behind_a_shorter_one() -> None:
    for position, rule in enumerate(RULES):
        assert not any(rule.prefix.startswith(earlier.prefix) for earlier in RULES[:position]), rule


def test_what_a_cost_stands_on() -> None:
    facts = {"hardware.cpu": "x", "hardware.memory_bytes": "9", "software.torch": "2", "cost.queries": "5"}
    made = table(DATA, RIGHT, engine__batch_tokens=64)
    one, other = (
        CompletedEvaluation("r", made, {}, facts),
        CompletedEvaluation("s", made, {}, {**facts, "hardware.cpu": "y"}),
    )
    assert measured_on([one]) == {"engine.batch_tokens": "64", "hardware.cpu": "x"}
    assert measured_on([one, other])["hardware.cpu"] == "mixed"


@pytest.mark.parametrize(
    ("change", "different"),
    [
        ({}, []),
        ({"hardware.cpu": "other"}, ["hardware.cpu"]),
        ({"hardware.device": "unknown"}, ["hardware.device"]),
        ({"engine.batch_tokens": "64"}, ["engine.batch_tokens"]),
    ],
)
def test_latency_asks_for_the_same_machine(change: dict, different: list) -> None:
    ours, theirs = standing("a"), standing("b", measured_on={**MACHINE, **change})
    assert [m.field for m in same_hardware(ours, theirs)] == different
    assert {m.severity for m in same_hardware(ours, theirs)} <= {"cost"}


def test_what_is_not_known_is_not_the_same_hardware() -> None:
    unknown = standing("a", measured_on={})
    assert {m.field for m in same_hardware(unknown, unknown)} == {"hardware.cpu", "hardware.cores"}


def test_a_rule_needs_no_accelerator() -> None:
    """On a machine with a GPU the majority class still answers from the host."""
    rule = standing("a", measured_on={key: value for key, value in MACHINE.items() if key != "engine.batch_tokens"})
    on_gpu = standing("b", measured_on={**MACHINE, "hardware.device": "cuda", "hardware.device_name": "a GPU"})
    assert same_hardware(rule, on_gpu) == ()
    assert [m.field for m in same_hardware(standing("c"), on_gpu)] == ["hardware.device", "hardware.device_name"]


def test_other_versions_of_what_computes_are_a_warning() -> None:
    made = table(DATA, RIGHT, engine__batch_tokens=64)
    runs = [CompletedEvaluation("r", made, {}, {"software.torch": v, "software.python": v}) for v in ("1", "2", "1")]
    assert software_warnings(runs) == (Mismatch("software.torch", "1", "2", "warn"),)
    assert (
        software_warnings([CompletedEvaluation("r", table(DATA, RIGHT), {}, {"software.torch": v}) for v in "12"]) == ()
    )


def test_what_is_counted_per_token_needs_the_same_tokens() -> None:
    same = [table(DATA, RIGHT, baseline=name, model__tokenizer_sha256="t") for name in "ab"]
    other = table(DATA, RIGHT, baseline="c", model__tokenizer_sha256="u")
    unknown = table(DATA, RIGHT, baseline="d", model__sha256="unknown")
    require_same_unit("token_perplexity", same)
    for tables in ((*same, other), (unknown, unknown)):
        assert not same_unit("token_perplexity", tables)
        with pytest.raises(IncomparableError, match="Compare by byte_perplexity"):
            require_same_unit("token_perplexity", tables)
        require_same_unit("bits_per_byte", tables)


def test_each_model_may_have_a_chat_template_of_its_own() -> None:
    ours, theirs = (Signature({"prompt.chat_template": sha, "generation.stop": "x"}) for sha in "ab")
    assert [(m.field, m.severity) for m in mismatches(ours, theirs)] == [("prompt.chat_template", "warn")]
    other = Signature({"prompt.chat_template": "a", "generation.stop": "y"})
    assert [(m.field, m.severity) for m in mismatches(ours, other)] == [("generation.stop", "refuse")]


def test_one_base_model_is_one_tokenizer() -> None:
    base, tuned = table(DATA, RIGHT), table(DATA, RIGHT, baseline="b", training__base_sha256="m" * 64)
    assert one_tokenizer([base, tuned])
    assert not one_tokenizer([base, table(DATA, RIGHT, baseline="c", model__sha256="x")])
    assert not one_tokenizer([table(DATA, RIGHT, model__sha256="unknown")])
