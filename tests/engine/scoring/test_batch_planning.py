from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbaseline.engine.inference.shared_prefix import SharedPrefix
from mlbaseline.engine.inference.tokenization import EncodedPrompt, Tokens
from mlbaseline.engine.scoring.batch_planning import (
    BatchPlan,
    PlanOptions,
    _count_tokens,
    make_request,
    plan_batches,
)
from mlbaseline.engine.scoring.prefix_tree import count_input_tokens

DRAW = random.Random(2)


def tokens(n: int) -> Tokens:
    return tuple(DRAW.randrange(300) for _ in range(n))


def encode(context: Tokens, *choices: Tokens) -> EncodedPrompt:
    return EncodedPrompt((context,) * len(choices), choices, len(context))


def plan(prompts: list[EncodedPrompt | str], prefix: SharedPrefix | None, budget: int, *, packed: bool) -> BatchPlan:
    return plan_batches(prompts, PlanOptions(prefix, None, budget, packed))


def sizes(prompts: list[EncodedPrompt | str], groups: tuple[tuple[int, ...], ...]) -> list[int]:
    counts = []
    for group in groups:
        encoded = [prompts[position] for position in group]
        requests = [make_request(0, each, None) for each in encoded if isinstance(each, EncodedPrompt)]
        counts.append(count_input_tokens(requests, packed=True))
    return counts


ENCODED = st.builds(
    lambda shared, own, first, second: encode(PASSAGE[:shared] + own, first, second),
    st.integers(0, 60),
    st.lists(st.integers(0, 9), min_size=1, max_size=50).map(tuple),
    st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple),
    st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple),
)
PASSAGE = tokens(60)


@settings(deadline=None)
@given(st.lists(st.one_of(ENCODED, st.just("cannot be encoded")), max_size=60), st.integers(50, 1000), st.booleans())
def test_every_example_is_in_one_batch_within_the_budget(
    prompts: list[EncodedPrompt | str], budget: int, packed: bool
) -> None:
    batches = plan(prompts, None, budget, packed=packed)
    read = sorted(position for batch in batches for position in batch.positions)
    assert read == [position for position, encoded in enumerate(prompts) if not isinstance(encoded, str)]
    for batch in batches:
        assert not packed or len(batch.groups) == 1 or sum(sizes(prompts, batch.groups)) <= budget


def test_examples_about_the_same_passage_compute_it_once() -> None:
    passages = [tokens(200) for _ in range(10)]
    prompts: list[EncodedPrompt | str] = [
        encode(passages[i % 10] + tokens(12), tokens(2), tokens(3)) for i in range(60)
    ]
    groups = tuple(group for batch in plan(prompts, None, 4096, packed=True) for group in batch.groups)
    assert sum(sizes(prompts, groups)) < 10 * 200 + 60 * 20
    assert all(len({position % 10 for position in group}) == 1 for group in groups)


def test_an_opening_that_all_share_is_computed_by_few_large_groups() -> None:
    instruction = tokens(100)
    prompts: list[EncodedPrompt | str] = [encode(instruction + tokens(20), tokens(1), tokens(1)) for _ in range(3000)]
    batches = plan(prompts, None, 4096, packed=True)
    groups = tuple(group for batch in batches for group in batch.groups)
    assert max(sizes(prompts, groups)) <= 512
    assert sum(sizes(prompts, groups)) < 0.25 * 3000 * 120


def test_examples_that_begin_differently_form_no_groups() -> None:
    prompts: list[EncodedPrompt | str] = [encode(tokens(50), tokens(1)) for _ in range(40)]
    assert all(len(group) == 1 for batch in plan(prompts, None, 500, packed=True) for group in batch.groups)


@pytest.mark.parametrize("cut", [False, True])
def test_only_prompts_that_begin_with_the_prefix_are_behind_it(cut: bool) -> None:
    prefix = SharedPrefix(tokens(10), ((torch.zeros(1, 1, 10, 1),) * 2,))
    whole = prefix.tokens + tokens(8)
    encoded = EncodedPrompt((whole, whole[3:] if cut else whole), (tokens(1), tokens(4)), len(whole))
    (batch,) = plan([encoded], prefix, 500, packed=True)
    assert batch.behind_prefix == (not cut)
    assert make_request(0, encoded, prefix).n_prefix_tokens == (0 if cut else 10)


def test_a_plan_is_the_sequence_of_its_batches() -> None:
    prompts: list[EncodedPrompt | str] = [encode(tokens(5 + i % 40), tokens(1), tokens(3)) for i in range(200)]
    planned = plan(prompts, None, 300, packed=True)
    batches = list(planned)
    assert len(planned) == len(batches) > 5
    assert [planned[index] for index in range(-len(planned), 0)] == batches == planned[:]
    assert planned[1:3] == batches[1:3]
    with pytest.raises(IndexError):
        planned[len(planned)]
    assert list(plan(["cannot be encoded"], None, 300, packed=True)) == []


TAILS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6).map(tuple), TAILS, st.booleans(), st.booleans())
def test_the_size_of_an_example_is_that_of_its_prefix_tree(
    context: Tokens, tails: list[Tokens], cut: bool, packed: bool
) -> None:
    contexts = (context,) * (len(tails) - 1) + (context[cut and len(context) > 1 :],)
    encoded = EncodedPrompt(contexts, tuple(tails), len(context))
    (batch,) = plan([encoded], None, 1, packed=packed)
    assert batch.positions == [0]
    assert _count_tokens(encoded, 0, packed=packed) == count_input_tokens(
        [make_request(0, encoded, None)], packed=packed
    )
