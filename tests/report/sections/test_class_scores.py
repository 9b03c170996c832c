"""Classes that are never answered are seen, and matrices add up."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Confusion, ExampleReport
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.class_scores import class_section, missed_classes_fact
from mlbaseline.report.view import Cell, Fact, Table
from tests.support.comparisons import assessments as given


def tables(*confusions: Confusion) -> list[Table]:
    base = given.promote()
    shown = replace(base, examples=ExampleReport(confusions)) if confusions else base
    section = class_section(Presenter(shown))
    return [] if section is None else [block for block in section.blocks if isinstance(block, Table)]


def test_recall_and_precision_of_every_class() -> None:
    table = tables()[0]
    assert [column.title for column in table.columns] == [
        "Rung",
        "negative (n 125)",
        "neutral (n 93)",
        "positive (n 82)",
    ]
    zero_shot = table.rows[1].cells
    assert zero_shot[1] == Cell("0.48", "precision 0.55")  # 60 of 125; 60 of 110
    assert zero_shot[3] == Cell("0.29", "precision 0.31")  # 24 of 82; 24 of 77


def test_a_class_that_is_never_answered_is_flagged() -> None:
    majority = tables()[0].rows[0].cells
    assert majority[1] == Cell("1.00", "precision 0.42")
    assert majority[2] == Cell("0.00", "never answered", "worse")


def test_classes_that_a_rung_never_answers_are_named() -> None:
    presenter = Presenter(given.promote())
    assert missed_classes_fact(presenter, "majority") == Fact(
        "Classes never answered",
        "majority: neutral (93 of 300 test examples) and positive (82 of 300 test examples)",
        "worse",
    )
    assert missed_classes_fact(presenter, "full") is None
    assert missed_classes_fact(presenter, None) is None


def test_a_class_without_examples_is_not_missed() -> None:
    confusion = Confusion("lora", ("no", "yes"), ((7, 0, 0), (0, 0, 0)))
    assert (
        missed_classes_fact(Presenter(replace(given.promote(), examples=ExampleReport((confusion,)))), "lora") is None
    )


def test_a_matrix_of_each_rung_of_the_primary_contrasts() -> None:
    captions = [table.caption for table in tables()[1:]]
    assert captions == [f"Answers of {name} by right class" for name in ("majority", "zero_shot", "full")]
    matrix = tables()[2]
    assert matrix.collapsed
    assert [column.title for column in matrix.columns] == ["Right class", *given.LABELS, "none of them"]
    neutral = matrix.rows[1].cells
    assert [cell.text for cell in neutral] == ["neutral", "30", "33", "28", "2"]
    assert neutral[2].heat > 0 > neutral[1].heat


def test_no_classes_no_section() -> None:
    assert class_section(Presenter(replace(given.promote(), examples=None))) is None
    assert class_section(Presenter(replace(given.promote(), examples=ExampleReport()))) is None


def test_many_classes_have_scores_and_no_matrix() -> None:
    labels = tuple(f"class {i}" for i in range(20))
    counts = tuple(tuple(int(i == j) for j in range(21)) for i in range(20))
    assert len(tables(Confusion("lora", labels, counts))) == 1
