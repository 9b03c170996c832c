"""What may not be compared is refused by name and value; what only has to be known is told."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.errors import IncomparableError
from mlbaseline.judge.comparability import mismatches, require_comparable
from mlbaseline.records import Mismatch, Signature
from tests.judge.builders import SIGNATURE, table, task_data

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
