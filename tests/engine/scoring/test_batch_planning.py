from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbaseline.engine.inference.forward import count_tokens
from mlbaseline.engine.inference.packed_attention import Head
from mlbaseline.engine.inference.tokenization import Encoded, Tokens
from mlbaseline.engine.scoring.batch_planning import _count_alone, make_row, plan_batches

DRAW = random.Random(2)


def tokens(n: int) -> Tokens:
    return tuple(DRAW.randrange(300) for _ in range(n))


def ask(context: Tokens, *choices: Tokens) -> Encoded:
    return Encoded((context,) * len(choices), choices, len(context))


def sizes(encodings: list[Encoded | str], families: tuple[tuple[int, ...], ...]) -> list[int]:
    found = []
    for family in families:
        encoded = [encodings[position] for position in family]
        rows = [make_row(0, each, None) for each in encoded if isinstance(each, Encoded)]
        found.append(count_tokens(rows, packs=True))
    return found


ENCODED = st.builds(
    lambda shared, own, first, second: ask(PASSAGE[:shared] + own, first, second),
    st.integers(0, 60),
    st.lists(st.integers(0, 9), min_size=1, max_size=50).map(tuple),
    st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple),
    st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple),
)
PASSAGE = tokens(60)


@settings(deadline=None)
@given(st.lists(st.one_of(ENCODED, st.just("cannot be asked")), max_size=60), st.integers(50, 1000), st.booleans())
def test_every_example_is_read_once_and_the_budget_is_kept(
    encodings: list[Encoded | str], budget: int, packs: bool
) -> None:
    batches = plan_batches(encodings, None, budget, packs=packs)
    read = sorted(position for batch in batches for position in batch.positions)
    assert read == [position for position, encoded in enumerate(encodings) if not isinstance(encoded, str)]
    for batch in batches:
        assert not packs or len(batch.families) == 1 or sum(sizes(encodings, batch.families)) <= budget


def test_examples_about_the_same_passage_read_it_once() -> None:
    passages = [tokens(200) for _ in range(10)]
    encodings: list[Encoded | str] = [ask(passages[i % 10] + tokens(12), tokens(2), tokens(3)) for i in range(60)]
    families = tuple(family for batch in plan_batches(encodings, None, 4096, packs=True) for family in batch.families)
    assert sum(sizes(encodings, families)) < 10 * 200 + 60 * 20
    assert all(len({position % 10 for position in family}) == 1 for family in families)


def test_a_beginning_that_all_share_is_read_by_few_large_families() -> None:
    instruction = tokens(100)
    encodings: list[Encoded | str] = [ask(instruction + tokens(20), tokens(1), tokens(1)) for _ in range(3000)]
    batches = plan_batches(encodings, None, 4096, packs=True)
    families = tuple(family for batch in batches for family in batch.families)
    assert max(sizes(encodings, families)) <= 512
    assert sum(sizes(encodings, families)) < 0.25 * 3000 * 120


def test_examples_that_begin_otherwise_stand_alone() -> None:
    encodings: list[Encoded | str] = [ask(tokens(50), tokens(1)) for _ in range(40)]
    assert all(
        len(family) == 1 for batch in plan_batches(encodings, None, 500, packs=True) for family in batch.families
    )


@pytest.mark.parametrize("cut", [False, True])
def test_only_what_begins_with_the_head_goes_behind_it(cut: bool) -> None:
    head = Head(tokens(10), ((torch.zeros(1, 1, 10, 1),) * 2,))
    whole = head.tokens + tokens(8)
    encoded = Encoded((whole, whole[3:] if cut else whole), (tokens(1), tokens(4)), len(whole))
    (batch,) = plan_batches([encoded], head, 500, packs=True)
    assert batch.behind_head == (not cut)
    assert make_row(0, encoded, head).n_skipped == (0 if cut else 10)


def test_a_plan_is_the_sequence_of_its_batches() -> None:
    encodings: list[Encoded | str] = [ask(tokens(5 + i % 40), tokens(1), tokens(3)) for i in range(200)]
    plan = plan_batches(encodings, None, 300, packs=True)
    batches = list(plan)
    assert len(plan) == len(batches) > 5
    assert [plan[index] for index in range(-len(plan), 0)] == batches == plan[:]
    assert plan[1:3] == batches[1:3]
    with pytest.raises(IndexError):
        plan[len(plan)]
    assert list(plan_batches(["cannot be asked"], None, 300, packs=True)) == []


TAILS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6).map(tuple), TAILS, st.booleans(), st.booleans())
def test_an_example_is_as_large_as_the_tree_that_it_grows(
    context: Tokens, tails: list[Tokens], cut: bool, packs: bool
) -> None:
    contexts = (context,) * (len(tails) - 1) + (context[cut and len(context) > 1 :],)
    encoded = Encoded(contexts, tuple(tails), len(context))
    (batch,) = plan_batches([encoded], None, 1, packs=packs)
    assert batch.positions == [0]
    assert _count_alone(encoded, None, 0, packs=packs) == count_tokens([make_row(0, encoded, None)], packs=packs)
