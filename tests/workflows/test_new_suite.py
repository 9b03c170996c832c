"""From a data file to a suite that runs."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbaseline import workflows
from mlbaseline.errors import SuiteError
from mlbaseline.stats import compare_corpus, compare_paired, perplexity
from mlbaseline.suite import ChoiceTask, DataSource
from mlbaseline.suite.reading import load_suite, parse_suite
from mlbaseline.tasks.suite_draft import Kind, SuiteDraft
from mlbaseline.workflows.new_suite import BYTE_PERPLEXITY, suite_text


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """80 tickets, with a header that ends with a space and labels that YAML would read as truth values."""
    draws = random.Random(3)
    rows = [(f"ticket {n} of {draws.randrange(1000)}", draws.choice(["yes", "no"])) for n in range(80)]
    path = tmp_path / "my tickets.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("body ", "urgent"), *rows])
    return path


def test_the_suite_has_the_columns_and_choices_of_the_file(tickets: Path) -> None:
    document = workflows.init(tickets).document
    suite = load_suite(document["suite"])
    assert (suite.name, suite.task.columns.target, suite.task.labels) == ("my-tickets", "urgent", ("no", "yes"))
    assert suite.task.columns.fields == {"text": "body "}
    assert document["splits"] == {"train": 40, "dev": 8, "test": 32}
    assert {guess["key"] for guess in document["guesses"]} >= {"task.kind", "task.columns.text", "task.columns.target"}
    assert 0.1 < document["detectable"] < 0.5


def test_answers_like_the_champions_pass_its_guardrail(tickets: Path) -> None:
    """As those of a run after a promotion do, where the champion is the candidate itself."""
    document = workflows.init(tickets).document
    over_champion = load_suite(document["suite"]).matrix.guardrails[0]
    same = np.zeros(document["splits"]["test"])
    assert over_champion.over == ("champion",)
    assert over_champion.margin < compare_paired(same, same).low


def test_perplexities_like_the_champions_pass_its_guardrail(tickets: Path) -> None:
    document = workflows.init(tickets, kind="perplexity").document
    over_champion = load_suite(document["suite"]).matrix.guardrails[0]
    n, metric = document["splits"]["test"], perplexity()
    same = metric.statistics(np.full(n, np.log(BYTE_PERPLEXITY)), np.ones(n))
    worse = compare_corpus(same, same, metric).high  # lower is better
    assert worse > 0.02, "more than the margin of a large test"
    assert (over_champion.over, over_champion.metric) == (("champion",), "byte_perplexity")
    assert -2 * worse < over_champion.margin < -worse


def test_a_suite_that_is_there_is_kept(tickets: Path) -> None:
    path = Path(workflows.init(tickets).document["suite"])
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"is there already; .*--force"):
        workflows.init(tickets)
    assert path.read_text(encoding="utf-8") == "mine"
    workflows.init(tickets, force=True)
    assert load_suite(path).register_as == "my-tickets-model"


def test_a_person_may_change_what_was_guessed(tickets: Path) -> None:
    asked: dict[str, str] = {}

    def ask(question: str, default: str) -> str:
        asked[question] = default
        return "generate" if question.startswith("Kind") else default

    document = workflows.init(tickets, ask=ask).document
    assert list(asked.values()) == ["body ", "urgent", "choice"]
    assert load_suite(document["suite"]).task.kind == "generate"


def test_a_file_of_a_european_spreadsheet_with_untidy_labels_runs_as_it_is(tmp_path: Path) -> None:
    rows = [f"Straße {n}, größer;{('Ja', 'nein', 'ja ', 'Ja')[n % 4]}" for n in range(80)]
    (tmp_path / "a.csv").write_bytes("\n".join(["Text;Label", *rows]).encode("cp1252"))
    document = workflows.init(tmp_path / "a.csv", encoding="cp1252").document
    assert {guess["key"]: guess["value"] for guess in document["guesses"]}["task.data.delimiter"] == ";"
    task = load_suite(document["suite"]).task
    assert isinstance(task, ChoiceTask)
    assert (task.choices, task.target_map) == (("Ja", "nein"), {"ja ": "Ja"})
    assert document["splits"] == {"train": 40, "dev": 8, "test": 32}


def test_a_delimiter_that_is_given_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join(["id;text:label;group", *(f"{n};a {n}:{n % 2};x" for n in range(40))]))
    document = workflows.init(tmp_path / "a.csv", delimiter=":").document
    suite = load_suite(document["suite"])
    assert suite.task.data.delimiter == ":"
    assert suite.task.columns.fields == {"text": "id;text"}
    assert suite.task.columns.target == "label;group"
    with pytest.raises(SuiteError, match="--delimiter: string should have at most 1 character, got '::'"):
        workflows.init(tmp_path / "a.csv", delimiter="::")
    with pytest.raises(SuiteError, match=r"--encoding: expected a character encoding .*, got 'nonsense'"):
        workflows.init(tmp_path / "a.csv", encoding="nonsense")


def test_a_suite_of_an_excel_file_names_its_sheet(tickets: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    workbook, book = openpyxl.Workbook(), tickets.with_suffix(".xlsx")
    workbook.active["A1"] = "who kept this list"
    sheet = workbook.create_sheet("from support")
    with tickets.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            sheet.append(row)
    workbook.save(book)
    written = workflows.init(book, sheet="from support").document
    as_csv = workflows.init(tickets, output=tickets.with_name("other.yaml")).document
    assert load_suite(written["suite"]).task.data.sheet == "from support"
    assert (written["splits"], written["guesses"]) == (as_csv["splits"], as_csv["guesses"])


def test_the_suite_runs_at_once(tickets: Path, tiny_model: Path, empty_database: Path, own_cache: Path) -> None:
    document = workflows.init(tickets, model=str(tiny_model)).document
    uri = f"sqlite:///{copy(empty_database, tickets.with_name('mlflow.db'))}"
    ladder = workflows.run(document["suite"], tracking_uri=uri).document
    assert ladder["comparison"]["verdict"] in ("hold", "inconclusive")  # the labels are random
    assert {evaluation["baseline"] for evaluation in ladder["evaluations"]} == {
        *("majority", "stratified", "zero_shot", "few_shot", "lora")
    }


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@settings(deadline=None)
@given(NAMES, NAMES, st.lists(NAMES, min_size=2, max_size=4, unique=True), st.sampled_from(["choice", "generate"]))
def test_whatever_the_header_says_it_is_quoted_right(text: str, target: str, choices: list[str], kind: Kind) -> None:
    labels = tuple(choices) if kind == "choice" else ()
    others = {f"{label} ": label for label in labels if f"{label} " not in labels}
    drafted = SuiteDraft(kind, text, target, None, labels, others, (text,), False, 9, 100)
    data = DataSource(source="a: b.csv", sheet="a, 'b'", delimiter="\t")
    suite = parse_suite(suite_text(drafted, name="a", data=data, model="./#x", production=None))
    assert (suite.task.columns.fields["text"], suite.task.columns.target) == (text, target)
    assert suite.task.data == data
    assert suite.task.labels == drafted.choices
    assert getattr(suite.task, "target_map", {}) == others
