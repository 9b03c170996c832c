from __future__ import annotations

import random
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbaseline.errors import DataError
from mlbaseline.records import Example, ExampleTable
from mlbaseline.suite import SplitSizes
from mlbaseline.tasks.examples import CONTENT, content_of
from mlbaseline.tasks.splitting import draw, drop_duplicates, keep_apart
from tests.support.ladders.written_data import load, load_rows, make_suite, rows_of, write_jsonl


def candidate(id: str, text: str, cluster: str | None) -> Example:
    return Example(id, {"text": text}, "no", ("no", "yes"), cluster)


def table_of(candidates: list[Example]) -> ExampleTable:
    contents = pa.array([content_of((example.fields["text"],)) for example in candidates], pa.binary(16))
    return ExampleTable.of(candidates).with_column(CONTENT, pa.chunked_array([contents]))


def contents_of(candidates: ExampleTable) -> list[bytes]:
    found: list[bytes] = candidates.table[CONTENT].to_pylist()
    return found


CANDIDATES = st.lists(
    st.tuples(st.text("aAbB ﬁ\t", min_size=1, max_size=4), st.none() | st.sampled_from("uvwxyz")),
    min_size=1,
    max_size=40,
).map(lambda items: [candidate(f"i{n}", text, cluster) for n, (text, cluster) in enumerate(items)])

SIZES = st.builds(
    lambda train, dev, test, seed: SplitSizes(train=train, dev=dev, test=test, seed=seed),
    st.floats(0, 0.3),
    st.sampled_from([0, 2, 0.25]),
    st.sampled_from([2, 0.4]),
    st.integers(0, 50),
)


def split_or_none(candidates: list[Example], sizes: SplitSizes) -> dict[Any, ExampleTable] | None:
    try:
        return draw(drop_duplicates(table_of(candidates)), sizes, {})
    except DataError:
        return None


@given(CANDIDATES, SIZES, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_splits_of_one_source(candidates: list[Example], sizes: SplitSizes, rng: random.Random) -> None:
    splits = split_or_none(candidates, sizes)
    shuffled = candidates.copy()
    rng.shuffle(shuffled)
    assert split_or_none(shuffled, sizes) == splits, "depends on the order of rows"
    if splits is None:
        return
    contents = [content for group in splits.values() for content in contents_of(group)]
    assert len(contents) == len(set(contents)), "a duplicate, or an example drawn twice"
    for one, other in combinations(splits.values(), 2):
        clusters = {example.cluster for example in one} & {example.cluster for example in other}
        assert clusters <= {None}, "a cluster on two sides"
    for name, group in splits.items():
        size = getattr(sizes, name)
        assert len(group) == size if size > 1 else 1 <= len(group) <= size * len(candidates)


FILES = st.fixed_dictionaries({"test": CANDIDATES}, optional={"train": CANDIDATES, "dev": CANDIDATES})


@given(FILES)
@settings(max_examples=200, deadline=None)
def test_splits_of_files(files: dict[Any, list[Example]]) -> None:
    counts: Counter[str] = Counter()
    try:
        splits = keep_apart({split: table_of(candidates) for split, candidates in files.items()}, counts)
    except DataError:
        return
    assert contents_of(splits["test"]) == contents_of(table_of(files["test"])), "test is as it came"
    for one, other in combinations(splits.values(), 2):
        assert not {*contents_of(one)} & {*contents_of(other)}
        assert {example.cluster for example in one} & {example.cluster for example in other} <= {None}
    assert sum(map(len, splits.values())) + sum(counts.values()) == sum(map(len, files.values()))


def texts(task: Any, split: str) -> set[str]:
    return {example.fields["text"] for example in task.splits[split].examples}


def test_sizes_and_fractions(tmp_path: Path) -> None:
    task = load_rows(tmp_path, rows_of(100), split={"train": 0.29, "dev": 7, "test": 0.5})
    assert {split: len(data.examples) for split, data in task.splits.items()} == {"train": 29, "dev": 7, "test": 50}
    assert task.counts["left_over"] == 14


def test_a_split_of_size_nought_is_absent(tmp_path: Path) -> None:
    assert list(load_rows(tmp_path, rows_of(10), split={"test": 4}).splits) == ["test"]


def test_the_seed_changes_membership_and_the_row_order_changes_nothing(tmp_path: Path) -> None:
    def test_split(rows: list[dict[str, Any]], seed: int) -> Any:
        return load_rows(tmp_path, rows, split={"test": 20, "train": 20, "seed": seed}).splits

    rows = rows_of(60)
    assert test_split(rows, 1) == test_split(rows[::-1], 1)
    assert test_split(rows, 1)["test"].digest != test_split(rows, 2)["test"].digest


def test_another_size_of_train_leaves_dev_and_test_alone(tmp_path: Path) -> None:
    small = load_rows(tmp_path, rows_of(60), split={"train": 5, "dev": 10, "test": 20}).splits
    large = load_rows(tmp_path, rows_of(60), split={"train": 25, "dev": 10, "test": 20}).splits
    assert (small["dev"], small["test"]) == (large["dev"], large["test"])
    assert small["train"].examples == large["train"].examples[:5]


def test_duplicates_up_to_case_space_and_unicode_form_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [*rows_of(4), *({"text": text, "label": "no"} for text in ("TEXT 0", "text  0", " text 0\n", "ｔｅｘｔ 0"))]
    task = load_rows(tmp_path, rows, split={"test": 1.0})
    assert len(task.splits["test"].examples) == 4
    assert task.counts["dropped_duplicates"] == 4


def test_which_copy_stays_does_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = [{"text": "same", "label": label, "n": n} for n, label in enumerate(["no", "yes", "no", "yes"])]
    kept = {load_rows(tmp_path, rows[n:] + rows[:n], split={"test": 1.0}).splits["test"].digest for n in range(4)}
    assert len(kept) == 1


def test_more_than_there_is_says_what_there_is(tmp_path: Path) -> None:
    rows = [*rows_of(10), *rows_of(3), {"text": "x"}]
    with pytest.raises(DataError) as caught:
        load_rows(tmp_path, rows, split={"train": 8, "test": 5})
    message = str(caught.value)
    assert "split.train: gets 5 examples: expected train 8, dev 0, test 5, available 10" in message
    assert "14 rows read, 1 dropped without target, 3 dropped duplicates" in message


def test_a_fraction_that_comes_to_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"split\.dev: gets no examples: expected .* dev 0\.05, .* available 10"):
        load_rows(tmp_path, rows_of(10), split={"dev": 0.05, "test": 5})


def test_clusters_stay_whole_and_singles_are_their_own(tmp_path: Path) -> None:
    rows = [{**row, "user": f"u{i // 5}" if i < 50 else None} for i, row in enumerate(rows_of(60))]
    columns = {"target": "label", "cluster": "user"}
    splits = load_rows(tmp_path, rows, columns=columns, split={"train": 20, "dev": 8, "test": 17}).splits
    assert [len(splits[split].examples) for split in ("train", "dev", "test")] == [20, 8, 17]
    owners = [{example.cluster for example in data.examples} for data in splits.values()]
    assert sum(map(len, owners)) == len(set().union(*owners))
    alone = [e for data in splits.values() for e in data.examples if e.fields["user"] is None]
    assert alone
    assert len({e.cluster for e in alone}) == len(alone)


def test_files_lose_what_leaks(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [{"text": t, "label": "no"} for t in ("a", "b", "B ", "c")])
    write_jsonl(tmp_path / "dev.jsonl", [{"text": t, "label": "no"} for t in ("A", "d", "e")])
    write_jsonl(tmp_path / "train.jsonl", [{"text": t, "label": "no"} for t in ("c", "D", "g", "f", "f")])
    data = {split: f"{split}.jsonl" for split in ("train", "dev", "test")}
    task = load(make_suite(tmp_path, data=data, split=None))
    kept = {split: [e.fields["text"] for e in data.examples] for split, data in task.splits.items()}
    assert kept == {"train": ["g", "f", "f"], "dev": ["d", "e"], "test": ["a", "b", "B ", "c"]}, "in the files' order"
    assert task.counts["dropped_duplicates"] == 3
    ids = [e.id for data in task.splits.values() for e in data.examples]
    assert len(ids) == len(set(ids)), "copies within a file have ids of their own"


def test_files_keep_clusters_on_one_side(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "test.jsonl", [{"text": "a", "label": "no", "user": "u"}])
    write_jsonl(tmp_path / "train.jsonl", [{"text": t, "label": "no", "user": u} for t, u in (("b", "u"), ("c", "v"))])
    suite = make_suite(
        tmp_path,
        data={"train": "train.jsonl", "test": "test.jsonl"},
        split=None,
        columns={"target": "label", "cluster": "user"},
    )
    task = load(suite)
    assert texts(task, "train") == {"c"}
    assert task.counts["dropped_shared_clusters"] == 1


def test_a_file_that_is_all_leak_is_an_error(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", rows_of(3))
    suite = make_suite(tmp_path, data={"train": "train.jsonl", "test": "test.jsonl"}, split=None)
    with pytest.raises(DataError, match=re.escape("data.train: no example is left of 3 usable rows")):
        load(suite)


def test_ids_of_copies_in_test_do_not_depend_on_order_or_on_train(tmp_path: Path) -> None:
    def ids(rows: list[dict[str, Any]], train: list[dict[str, Any]]) -> dict[Any, str]:
        write_jsonl(tmp_path / "test.jsonl", rows)
        write_jsonl(tmp_path / "train.jsonl", train)
        suite = make_suite(tmp_path, data={"train": "train.jsonl", "test": "test.jsonl"}, split=None)
        return {e.fields["n"]: e.id for e in load(suite).splits["test"].examples}

    rows = [{"text": "same", "label": "no", "n": n} for n in range(5)]
    assert ids(rows, rows_of(2)) == ids(rows[::-1], [*rows[:2], *rows_of(4)])
