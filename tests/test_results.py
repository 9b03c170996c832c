from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet as pyarrow_parquet

from mlbaseline.errors import DataError
from mlbaseline.format_versions import RESULT_TABLE
from mlbaseline.records import Answer, Example, Signature, TaskData, digest_of
from mlbaseline.results import ResultTable, parquet, tabulate

LABELS = ("no", "yes", "maybe")


def data(n: int) -> TaskData:
    examples = tuple(Example(f"e{i}", {}, LABELS[i % 2], LABELS, slices={"part": "ab"[i % 2]}) for i in range(n))
    return TaskData("test", examples, LABELS, "digest")


def table(n: int, answers: list[Answer]) -> ResultTable:
    return tabulate(data(n), iter(answers), baseline="rule", kind="trivial", seed=None, signature=Signature({}))


def test_answers_in_any_order_are_rows_in_the_order_of_their_ids() -> None:
    answers = [
        Answer(f"e{i}", LABELS[i % 3], (-1.0 * i, -2.0), tokens_in=i, compute_s=i / 10, truncated=i == 3)
        for i in range(12)
    ]
    random.Random(1).shuffle(answers)
    frame = table(12, answers).frame
    order = sorted(range(12), key=lambda i: f"e{i}")
    assert frame["example_id"].tolist() == [f"e{i}" for i in order]
    assert frame["prediction"].tolist() == [LABELS[i % 3] for i in order]
    assert frame["slice.part"].tolist() == ["ab"[i % 2] for i in order]
    assert frame["tokens_in"].tolist() == order
    assert frame["loglik_nats.no"].tolist() == [-1.0 * i for i in order]
    assert frame["loglik_nats.maybe"].isna().all()
    assert frame["truncated"].tolist() == [i == 3 for i in order]
    assert [str(frame[name].dtype) for name in ("tokens_in", "latency_s", "truncated")] == ["int64", "float64", "bool"]
    assert frame["latency_s"].isna().all()


def test_columns_are_there_where_an_answer_has_something_for_them() -> None:
    bare = table(2, [Answer("e0", "no"), Answer("e1", None, error="lost")]).frame
    assert not {"raw", "samples", "cost_usd", "first_token_s", "unanswered"} & set(bare)
    assert not [name for name in map(str, bare) if name.startswith(("score.", "sum.", "loglik_nats."))]
    assert bare["error"].isna().tolist() == [True, False]
    rich = Answer(
        "e1", "b", raw="b.", samples=("b", "c"), scores={"x": 1.0}, sums={"nats": 2.0}, cost_usd=0.5, unanswered=True
    )
    frame = table(2, [rich, Answer("e0", "a")]).frame
    assert frame["samples"].tolist() == [[], ["b", "c"]]
    assert frame["unanswered"].tolist() == [False, True]
    for name, value in (("raw", "b."), ("score.x", 1.0), ("sum.nats", 2.0), ("cost_usd", 0.5)):
        assert frame[name].isna().tolist() == [True, False]
        assert frame[name][1] == value


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["e0", "e1", "e0"], "'e0' was answered twice"),
        (["e0"], r"1 of 2 examples have no answer \(first: \['e1'\]\), 0 answers belong to no example"),
        (["e0", "e1", "e9", "e"], r"0 of 2 .*, 2 answers belong to no example \(first: \['e', 'e9'\]\)"),
    ],
)
def test_each_example_needs_exactly_one_answer(ids: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        table(2, [Answer(id, "no") for id in ids])


def test_answers_to_different_examples_are_joined() -> None:
    whole = table(6, [Answer(f"e{i}", "yes", (-1.0, -2.0, -3.0), tokens_in=i) for i in range(6)])
    parts = [replace(whole, frame=whole.frame.iloc[rows].reset_index(drop=True)) for rows in ([0, 3, 5], [1, 2, 4])]
    joined = parts[0].joined(parts[1])
    pd.testing.assert_frame_equal(joined.frame, whole.frame)
    with pytest.raises(DataError, match="stands in more than one row"):
        joined.joined(parts[1])
    batched = [replace(part, frame=part.frame.assign(batch=[0, 0, -1])) for part in parts]
    assert batched[0].joined(batched[1]).frame["batch"].nunique() == 4


@pytest.mark.usefixtures("where_tables_lie")
def test_the_columns_of_a_table_and_their_order_do_not_change() -> None:
    """The digest is that of the table when each answer and each example was a Python object of its own."""
    n = 9000  # more than two blocks
    examples = tuple(
        Example(
            f"e{i * 7919 % n}",
            {},
            LABELS[i % 3],
            LABELS,
            cluster=f"c{i % 5}" if i % 4 else None,
            slices={"part": "ab"[i % 2], "é": str(i % 3)},
            references=(LABELS[0], "ja") if i % 3 else (),
            weight=1 + i / 7,
        )
        for i in range(n)
    )
    answers = [
        Answer(
            f"e{i}",
            LABELS[i % 3] if i % 10 else None,
            tuple(-1.0 * i - k for k in range(i % 3)) if i > 5000 else (),
            {"x": i / 3, "a": float("nan")} if i % 2 else {},
            tokens_in=i,
            tokens_out=i % 4,
            compute_s=i / 10,
            latency_s=i / 9 if i % 100 == 0 else None,
            truncated=i % 50 == 3,
            error=None if i % 10 else f"fehlt é {i}",
            cost_usd=0.25 if i == 8000 else None,
            first_token_s=0.5 if i % 3 else None,
            unanswered=i == 20,
            raw=f"raw {i}" if i > 6000 else None,
            samples=("a", "b") if i % 5 == 0 else (),
            sums={"nats": i / 4, "tokens": i} if i % 6 else {},
            batch=None if i % 7 == 0 else i // 8 if i % 2 else -1 - i // 8,
            reference_s=0.1,
        )
        for i in range(n)
    ]
    random.Random(5).shuffle(answers)
    answered = TaskData("test", examples, LABELS, "digest")
    made = tabulate(answered, answers, baseline="rule", kind="peft", seed=1, signature=Signature({})).frame
    columns = [[name, made[name].dtype.kind, made[name].to_json(orient="values")] for name in map(str, made)]
    assert digest_of(columns)[:16] == "7776a6da375af404"
    fresh = pd.DataFrame({"example_id": ["a"], "cluster": pd.array(["a"], dtype="string")})
    assert made["slice.part"].dtype == made["target"].dtype == made["example_id"].dtype == fresh["example_id"].dtype
    assert made["cluster"].dtype == made["prediction"].dtype == made["error"].dtype == fresh["cluster"].dtype


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_a_file_that_is_written_group_by_group_has_the_bytes_of_one_written_at_once(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_ROW_GROUP_ROWS", 2)
    frame = table(5, [Answer(f"e{i}", LABELS[i % 3], (-1.0, -2.0), samples=("a", "b")) for i in range(5)]).frame[:n]
    parquet.write_parquet(frame, tmp_path / "by_group.parquet", RESULT_TABLE)
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    rows = rows.replace_schema_metadata({**rows.schema.metadata, **RESULT_TABLE.metadata})
    pyarrow_parquet.write_table(rows, tmp_path / "at_once.parquet", row_group_size=2)
    assert (tmp_path / "by_group.parquet").read_bytes() == (tmp_path / "at_once.parquet").read_bytes()
