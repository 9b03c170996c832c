"""When a fine-tune has paid for its training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlbaseline.judge.cost.break_even import break_evens
from mlbaseline.records import Bounds, BreakEven, Cost, NormalisedFigure, Standing
from mlbaseline.suite.reading import load_suite
from tests.support.comparisons.judged import COST, MACHINE, standing

SUITE = load_suite("tweets")
LORA = replace(COST, train_s=3600.0, train_usd=0.10, compute_s_per_query=0.036, usd_per_query=1.1e-6)
PROMPT = replace(COST, train_s=None, train_usd=None, compute_s_per_query=0.108, usd_per_query=3e-6)


def found(lora: Cost = LORA, prompt: Cost = PROMPT) -> BreakEven:
    standings: dict[str, Standing] = {
        "majority": standing("majority"),
        "zero_shot": standing("zero_shot"),
        "few_shot": standing("few_shot", cost=prompt),
        "lora": standing("lora", cost=lora),
    }
    (row,) = break_evens(SUITE, standings)
    return row


def test_training_is_paid_back_by_what_a_query_saves() -> None:
    row = found()
    assert (row.fine_tune, row.prompt, row.train_usd) == ("lora", "few_shot", 0.10)
    # 0.036 s at 0.10 USD an hour, without the share of the training that usd_per_query holds
    assert (row.fine_tune_usd_per_query, row.prompt_usd_per_query) == (pytest.approx(1e-6), 3e-6)
    assert row.queries == pytest.approx(50_000, abs=1)


@pytest.mark.parametrize("prompt_usd", [1e-6, 5e-7])
def test_without_a_saving_it_never_is(prompt_usd: float) -> None:
    assert found(prompt=replace(PROMPT, usd_per_query=prompt_usd)).queries is None


@pytest.mark.parametrize(
    ("lora", "prompt"),
    [
        (replace(LORA, train_usd=None), PROMPT),
        (replace(LORA, usd_per_query=None), PROMPT),
        (replace(LORA, train_usd=float("nan")), PROMPT),
        (LORA, replace(PROMPT, usd_per_query=None)),
        (LORA, replace(PROMPT, usd_per_query=float("inf"))),
    ],
)
def test_an_unknown_price_gives_no_number(lora: Cost, prompt: Cost) -> None:
    assert found(lora, prompt).queries is None


def test_every_fine_tune_meets_every_few_shot_prompt() -> None:
    names = ("zero_shot", "few_shot", "lora", "full", "annotator")
    rows = break_evens(SUITE, {name: standing(name) for name in names})
    assert [(row.fine_tune, row.prompt) for row in rows] == [("lora", "few_shot"), ("full", "few_shot")]


def test_the_interval_is_that_of_the_saving() -> None:
    """Zou and Donner: the limits of a difference from those of its sides."""
    lora = replace(LORA, bounds={"usd_per_query": Bounds(0.9e-6, 1.4e-6)})
    prompt = replace(PROMPT, bounds={"usd_per_query": Bounds(2.6e-6, 3.3e-6)})
    row = found(lora, prompt)
    assert row.queries is not None and row.queries_low is not None and row.queries_high is not None
    most, least = 2e-6 + (0.3e-6**2 + 0.2e-6**2) ** 0.5, 2e-6 - (0.4e-6**2 + 0.3e-6**2) ** 0.5
    assert row.queries_low == pytest.approx(0.10 / most, abs=1) and row.queries_high == pytest.approx(
        0.10 / least, abs=1
    )
    may_not = found(lora, replace(PROMPT, bounds={"usd_per_query": Bounds(0.9e-6, 5e-6)}))
    assert may_not.queries_low is not None and may_not.queries_high is None
    assert found().queries_low is None  # no interval of either cost


def test_costs_are_compared_at_one_speed_of_the_machine() -> None:
    """The prompt ran while the machine was twice as slow: in units of the reference both cost the same."""

    def beside(cost: Cost, reference_s: float) -> Cost:
        value = cost.compute_s_per_query / reference_s
        relative = {"compute": NormalisedFigure(value, Bounds(0.9 * value, 1.1 * value))}
        return replace(cost, reference_s=reference_s, relative=relative, priced_by="hardware")

    tuned = replace(LORA, compute_s_per_query=0.036)
    slow = replace(PROMPT, compute_s_per_query=0.072, usd_per_query=2e-6)
    assert found(tuned, slow).queries is not None
    compared = found(beside(tuned, 0.01), beside(slow, 0.02))
    assert compared.beside and not compared.normalised
    assert compared.fine_tune_usd_per_query == pytest.approx(compared.prompt_usd_per_query)


def test_the_prompt_of_another_machine_is_brought_to_that_of_the_fine_tune_or_has_no_price_there() -> None:
    """One price for both machines; there everything takes twice as long."""

    def on(cost: Cost, facts: dict[str, str], slowness: float, copy: float = 1.0) -> dict[str, Any]:
        value = cost.compute_s_per_query / (0.01 * slowness)
        speeds = {"matmul": 1e11 / slowness, "copy": 1e10 / slowness / copy, "pass": 1e3 / slowness}
        relative = {"compute": NormalisedFigure(value, Bounds(0.9 * value, 1.1 * value))}
        measured = {"reference_s": 0.01 * slowness, "reference_speeds": speeds, "relative": relative}
        return {"cost": replace(cost, priced_by="hardware", **measured), "measured_on": {**MACHINE, **facts}}

    def row(copy: float) -> BreakEven:
        lora = standing("lora", **on(LORA, {"hardware.threads": "2"}, 1.0))
        facts = {"hardware.threads": "2", "hardware.cpu": "an older chip"}
        prompt = standing("few_shot", **on(PROMPT, facts, 2.0, copy))
        (found,) = break_evens(SUITE, {"lora": lora, "few_shot": prompt})
        return found

    moved = row(1.25)
    assert moved.normalised and moved.prompt_usd_per_query == pytest.approx(1.5e-6)
    assert moved.queries is not None and moved.queries_high is not None and moved.queries_low is not None
    assert moved.queries_low < row(1.0).queries_low  # type: ignore[operator]  # the reference is less sure
    assert row(3.0).prompt_usd_per_query is None and row(3.0).queries is None
