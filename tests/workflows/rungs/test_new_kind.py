"""A kind of task is added in one file: its keys in a suite, and what it decides. Everything else takes it as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Literal

import mlflow
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import SuiteError
from mlbaseline.records import Answer, Example, OutputType, Scalar
from mlbaseline.store import connect, find_evaluations, load_tables
from mlbaseline.suite import TASKS, PromptedTask, Suite
from mlbaseline.suite.reading import parse_suite
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.kinds import TASK_KINDS, ServedColumn
from mlbaseline.tasks.kinds.kind import PromptedKind


class LettersTask(PromptedTask):
    """The model generates a text, of which the letters are the answer."""

    output_type = OutputType.GENERATE_UNTIL
    default_metric = "exact_match"
    selects_by = "nll_nats"
    trivial_strategies = ("majority",)

    kind: Literal["letters"]
    """The letters of a generated text are the answer."""
    most: int = 4
    """Largest number of letters."""

    def check_generation(self, generate_with: str) -> None:
        """Every backend can answer."""


class LettersKind(PromptedKind[LettersTask]):
    """Letters of a generated text."""

    @property
    def decoding(self) -> Decoding:
        return Decoding(max_new_tokens=12, stop=("\n",))

    def signature_fields(self) -> dict[str, Scalar]:
        return {"metric.most_letters": self.task.most}

    def conclude(self, answers: Iterable[Answer], examples: Sequence[Example], *, is_raw: bool) -> Iterator[Answer]:
        del examples
        for answer in answers:
            yield replace(answer, prediction=self._letters(answer), raw=answer.prediction) if is_raw else answer

    def served_columns(self) -> tuple[ServedColumn, ...]:
        return (ServedColumn("letters", "string"),)

    def served_row(self, answer: Answer) -> dict[str, str | float | None]:
        return {"letters": self._letters(answer)}

    def _letters(self, answer: Answer) -> str:
        return "".join(filter(str.isalpha, answer.prediction or ""))[: self.task.most]


SUITE = """
name: letters
task:
  kind: letters
  data: {source: words.csv}
  columns: {text: text, target: target}
  prompt: "{text} =>"
  split: {train: 16, dev: 8, test: 12, seed: 1}
evaluation: {precision: fp32, max_length: 64, latency_sample: 2}
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: MODEL}, shots: 1}
  full: {kind: full, base: zero_shot, epochs: 1, learning_rate: 1.0e-3, batch_size: 8}
matrix:
  primary: [{candidate: full, over: [majority, zero_shot]}]
"""


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two lines that a new kind needs outside of its file."""
    monkeypatch.setitem(TASKS, "letters", LettersTask)
    monkeypatch.setitem(TASK_KINDS, "letters", LettersKind)


@pytest.fixture
def suite(kind: None, tmp_path: Path, tiny_model: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    copy(empty_database, tmp_path / "mlflow.db")
    words = ("soup", "bread", "lamp", "train")
    rows = [{"text": f"{words[n % 4]} number {n}", "target": words[n % 4][:4]} for n in range(36)]
    pd.DataFrame(rows).to_csv(tmp_path / "words.csv", index=False)
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("MODEL", str(tiny_model)), encoding="utf-8")
    return path


def test_a_new_kind_is_evaluated_compared_and_served(suite: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    evaluated = workflows.evaluate(suite, tracking_uri=uri).document["evaluations"]
    assert {evaluation["baseline"] for evaluation in evaluated} == {"majority", "zero_shot", "full"}
    tracker = connect(uri, "letters")
    tables = {t.baseline: t for t in load_tables(tracker, find_evaluations(tracker), cache=tmp_path / "tables")}
    assert {table.signature.fields["metric.most_letters"] for table in tables.values()} == {4}
    assert tables["full"].signature.fields["training.task"] == "letters"
    assert "generation.max_new_tokens" in tables["zero_shot"].signature.fields
    for name in ("zero_shot", "full"):
        rows = tables[name].frame
        expected = ["".join(filter(str.isalpha, text))[:4] for text in rows["raw"]]
        assert rows["prediction"].tolist() == expected
        assert rows["latency_s"].notna().sum() == 2
        assert {"score.exact_match", "error"} <= set(rows)
    assert any(set(text) - set(letters) for text, letters in zip(rows["raw"], rows["prediction"], strict=True))
    assert all(run["reused"] for run in workflows.evaluate(suite, tracking_uri=uri).document["evaluations"])
    document = workflows.compare(suite, tracking_uri=uri).document
    assert {row["metric"] for row in document["comparisons"]} == {"exact_match"}

    mlflow.set_tracking_uri(uri)
    (model,) = [
        m for m in mlflow.search_logged_models([tracker.experiment_id], output_format="list") if m.model_type == "full"
    ]
    served = mlflow.pyfunc.load_model(model.model_uri)
    texts = pd.read_csv(tmp_path / "words.csv")[["text"]].head(5)
    letters = served.predict(texts)["letters"]
    assert all(len(text) <= 4 and (text == "" or text.isalpha()) for text in letters)


def test_the_new_kind_checks_its_suites(kind: None) -> None:
    text = (
        SUITE.replace("MODEL", "model")
        .replace("seed: 1}\n", "seed: 1}\n  most: many\n")
        .replace("majority}", "uniform}")
    )
    with pytest.raises(SuiteError) as error:
        parse_suite(text + "metrics: [accuracy]\n")
    problems = str(error.value)
    assert "task.most: input should be a valid integer" in problems
    assert "'uniform' cannot answer a task of kind letters, which has: majority" in problems
    assert "'accuracy' is of tasks of kind choice; letters has: exact_match" in problems


def test_editors_are_told_of_the_kinds_of_the_package() -> None:
    kinds = Suite.model_json_schema()["properties"]["task"]["discriminator"]["mapping"]
    assert set(kinds) == set(TASKS) == set(TASK_KINDS)


def test_an_unknown_kind_is_named_with_those_that_there_are() -> None:
    text = SUITE.replace("MODEL", "model")
    with pytest.raises(
        SuiteError, match=r"task.kind: expected one of choice, generate, perplexity, lm_eval, got 'letters'"
    ):
        parse_suite(text)
