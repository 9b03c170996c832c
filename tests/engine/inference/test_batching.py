from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.engine.inference.batching import FREE_PADDING_TOKENS, make_packed_batches, make_padded_batches

LENGTHS = st.lists(st.integers(1, 300), max_size=80)


@given(LENGTHS, st.integers(1, 2000))
def test_every_row_is_in_one_batch_and_batches_keep_the_budget(lengths: list[int], budget: int) -> None:
    batches = make_padded_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_padding_of_many_rows_is_below_five_percent() -> None:
    lengths = [12 + (7919 * index) % 80 for index in range(5000)]
    batches = make_padded_batches(lengths, 4096)
    computed = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert computed / sum(lengths) < 1.05
    assert len(batches) < 1.5 * sum(lengths) / 4096, "little padding must not come from little batches"


def test_longest_first_and_equal_lengths_in_their_order() -> None:
    assert make_padded_batches([5, 9, 5, 9], 1000) == [[1, 3, 0, 2]]


def test_rows_of_a_batch_can_be_limited() -> None:
    assert [len(batch) for batch in make_padded_batches([4] * 10, 1000, max_rows=4)] == [4, 4, 2]


def test_batches_that_the_model_passes_often_are_fewer() -> None:
    lengths = [300 - 5 * index for index in range(24)]
    once, often = (make_padded_batches(lengths, 16_384, n_passes=n) for n in (1, 24))
    assert len(once) > len(often) == 1
    padding = 300 * len(lengths) - sum(lengths)
    assert padding <= 24 * FREE_PADDING_TOKENS, "which costs less than 24 passes"


@given(LENGTHS, st.integers(1, 2000), st.integers(0, 200))
def test_packed_batches_keep_the_budget_and_are_as_few_as_that_allows(
    lengths: list[int], budget: int, head_places: int
) -> None:
    batches = make_packed_batches(lengths, budget, head_places)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        tokens = sum(lengths[index] for index in batch)
        assert len(batch) == 1 or tokens <= budget
        assert len(batch) == 1 or tokens + len(batch) * head_places <= 8 * budget
    for batch, following in pairwise(batches):
        tokens = sum(lengths[index] for index in batch) + lengths[following[0]]
        assert tokens > budget or tokens + (len(batch) + 1) * head_places > 8 * budget
