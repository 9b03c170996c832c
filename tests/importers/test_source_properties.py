"""Whatever stands in a file of another tool: answers that fit the suite, or one DataError that says where and what."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportedResults, ImportOptions, has_prompts, make_rows
from mlbaseline.importers.inspect_log import read_log
from mlbaseline.importers.lm_eval_samples import read_samples
from mlbaseline.models.recorded import read_answers
from mlbaseline.records import Example, Signature, TaskData
from mlbaseline.results import tabulate
from mlbaseline.store.mlflow_evaluations.results import _rows as rows_of_mlflow
from mlbaseline.suite import ChoiceTask
from mlbaseline.tasks.data_files import read_table
from mlbaseline.tasks.prompting import Prompting
from mlbaseline.values import NumberedRow
from tests.support.comparisons.hostile import JUNK, mutated, searched
from tests.support.lm_eval_samples import chosen

LABELS = ("bad", "good")
TASK = ChoiceTask.model_validate(
    {
        "kind": "choice",
        "data": {"test": "data.jsonl"},
        "columns": {"text": "review", "target": "label"},
        "prompt": "Review: {text}",
        "choices": LABELS,
    }
)
EXAMPLES = tuple(
    Example(f"e{i}", {"text": f"t{i}", "review": f"t{i}", "label": "good"}, "good", LABELS) for i in range(3)
)
DATA = TaskData("test", EXAMPLES, LABELS, "d" * 64)
OPTIONS = [ImportOptions(), ImportOptions(id_field="key"), ImportOptions(score=("acc", "accuracy"))]


def take(rows: list[NumberedRow], where: str) -> None:
    """Go the rest of the way of an import: rows become answers, and answers a table as it is stored."""
    for seed, answers in read_answers(rows, DATA, where=where).items():
        table = tabulate(
            DATA, answers.values(), baseline="theirs", kind="pretrained", seed=seed, signature=Signature({})
        )
        with tempfile.TemporaryDirectory() as folder:
            table.save(Path(folder))


def join(results: ImportedResults, where: str, options: ImportOptions) -> None:
    rows = make_rows(results, where, TASK, DATA, options)
    has_prompts(results, rows, DATA, Prompting("Review: {text}"))
    take(rows, where)


def expect_answers_or_an_error(attempt: Callable[[str], None], where: str) -> None:
    try:
        attempt(where)
    except DataError as error:
        assert str(error).startswith(where)
        assert len(str(error)) < 20_000


# ---- tables ---------------------------------------------------------------------------------------------------------

ROWS = [
    {
        "example_id": f"e{i}",
        "prediction": "bad",
        "score.accuracy": 0.0,
        "loglik_nats.bad": -0.5,
        "loglik_nats.good": -1.0,
        "seed": 0,
        "latency_s": 0.1,
        "tokens_in": 3,
        "tokens_out": 1,
        "cost_usd": 0.001,
        "error": None,
    }
    for i in range(3)
]


def read_and_take(path: Path, format: str) -> None:
    expect_answers_or_an_error(lambda where: take(read_table(path, format).rows, where), str(path))


@searched(60)
@given(mutated(ROWS), st.sampled_from(["json", "jsonl"]))
def test_rows_as_json(rows: Any, format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"answers.{format}")
        lines = rows if isinstance(rows, list) and format == "jsonl" else [rows]
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        read_and_take(path, format)


@searched(60)
@given(mutated(ROWS), st.sampled_from(["csv", "tsv"]), st.integers(0, 250), st.text(max_size=4))
def test_rows_as_separated_values(rows: Any, format: str, start: int, piece: str) -> None:
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    text = io.StringIO()
    writer = csv.writer(text, delimiter="," if format == "csv" else "\t")
    writer.writerow(ROWS[0])
    writer.writerows([list(row.values()) for row in rows])
    content = text.getvalue()[:start] + piece + text.getvalue()[start + len(piece) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"answers.{format}")
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        read_and_take(path, format)


COLUMNS = st.lists(
    st.one_of(JUNK, st.binary(max_size=4), st.dates(), st.decimals(allow_nan=False, places=2), st.timedeltas()),
    min_size=3,
    max_size=3,
)


@searched(60)
@given(
    st.dictionaries(st.sampled_from([*ROWS[0], "other"]), COLUMNS, max_size=4), st.binary(max_size=3), st.integers(0)
)
def test_rows_as_parquet(changed: dict[str, list[Any]], piece: bytes, start: int) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]} | changed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answers.parquet")
        try:
            parquet.write_table(pa.table(columns), path)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            return  # no such file can be written
        content = path.read_bytes()
        start %= 2 * len(content)  # in half of the cases the file is whole
        path.write_bytes(content[:start] + piece + content[start + len(piece) :])
        read_and_take(path, "parquet")


@searched(40)
@given(st.binary(max_size=80), st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet"]))
def test_any_bytes(content: bytes, format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"answers.{format}")
        path.write_bytes(content)
        read_and_take(path, format)


# ---- lm-eval --------------------------------------------------------------------------------------------------------


def sample(i: int) -> dict[str, Any]:
    return chosen(i, bad=-0.5, good=-1.5, metrics=["acc"], doc_hash="a" * 64)


def generation(i: int) -> dict[str, Any]:
    arguments = {"gen_args_0": {"arg_0": f"Review: t{i}", "arg_1": {"until": ["\n"]}}}
    return {**sample(i), "arguments": arguments, "resps": [["good"]], "filtered_resps": ["good"]}


RESULTS = {
    "config": {"model_dtype": "torch.float32", "fewshot_seed": 1234},
    "lm_eval_version": "0.4.13",
    "n-shot": {"reviews": 2},
    "versions": {"reviews": 1.0},
    "chat_template_sha": None,
    "model_name": "m",
    "task_hashes": {"reviews": "b" * 64},
}


@searched(80)
@given(
    mutated([sample(i) for i in range(3)], [generation(i) for i in range(3)]),
    mutated(RESULTS, RESULTS),
    st.booleans(),
    st.sampled_from(OPTIONS),
)
def test_samples_of_lm_eval(samples: Any, results: Any, has_results: bool, options: ImportOptions) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "samples_reviews_2026-11-26T10-00-00.000000.jsonl")
        lines = samples if isinstance(samples, list) else [samples]
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        beside = path.with_name("results_2026-11-26T10-00-00.000000.json")
        if has_results:
            beside.write_text(json.dumps(results), encoding="utf-8")

        def attempt(where: str) -> None:
            try:
                join(read_samples(path, filter=None), where, options)
            except DataError as error:
                if not str(error).startswith(str(beside)):
                    raise

        expect_answers_or_an_error(attempt, str(path))


# ---- inspect --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log_of_inspect(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The JSON form of a log that inspect itself wrote."""
    pytest.importorskip("inspect_ai")
    from inspect_ai.dataset import Sample
    from inspect_ai.log import convert_eval_logs
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    from tests.support.inspect_logs import write_log

    folder = tmp_path_factory.mktemp("inspect")
    samples = [Sample(id=e.id, input=f"t{i}", target="good", metadata={"key": e.id}) for i, e in enumerate(EXAMPLES)]
    log = write_log(folder / "logs", samples, ["good", "bad", "neither"], solver=generate(), scorer=match())
    convert_eval_logs(str(log), "json", str(folder / "json"))
    (converted,) = (folder / "json").rglob("*.json")
    return json.loads(converted.read_text(encoding="utf-8"))


@pytest.mark.slow
@searched(40)
@given(st.data())
def test_logs_of_inspect(log_of_inspect: Any, data: st.DataObject) -> None:
    # Most of a log is not read: changes go where they count.
    part = data.draw(st.sampled_from(["", "samples", "eval", "plan"]))
    changed = data.draw(mutated(log_of_inspect[part] if part else log_of_inspect))
    log = {**log_of_inspect, part: changed} if part else changed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.json")
        path.write_text(json.dumps(log), encoding="utf-8")
        options = data.draw(
            st.sampled_from(
                [ImportOptions(), ImportOptions(id_field="key"), ImportOptions(score=("match", "accuracy"))]
            )
        )
        scorer = options.score[0] if options.score else None
        expect_answers_or_an_error(lambda where: join(read_log(path, scorer=scorer), where, options), str(path))


# ---- mlflow ---------------------------------------------------------------------------------------------------------

TABLE = {
    "columns": ["inputs", "review", "predictions", "key", "acc/score", "latency", "token_count"],
    "data": [[f"t{i}", f"t{i}", "bad", f"e{i}", 1.0, 0.1, 3] for i in range(3)],
}


@searched(80)
@given(mutated(TABLE), st.sampled_from(OPTIONS))
def test_tables_of_mlflow(table: Any, options: ImportOptions) -> None:
    def attempt(where: str) -> None:
        answers = list(rows_of_mlflow(where, table))
        if answers:
            join(ImportedResults(answers, {}), where, options)

    expect_answers_or_an_error(attempt, "run 1, eval_results_table.json")
