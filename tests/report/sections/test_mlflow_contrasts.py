"""MLflow's own comparison stands beside our contrast of the same rungs, with the reasons for other numbers."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import MlflowContrast
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.mlflow_contrasts import mlflow_section
from mlbaseline.report.view import Row, Table
from tests.support.comparisons import assessments as given

THEIRS = MlflowContrast("lora", "zero_shot", "correct", "accuracy", True, None, None, None, None, None)


def row_of(theirs: MlflowContrast) -> Row:
    section = mlflow_section(Presenter(replace(given.promote(), by_mlflow=(theirs,))))
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    return table.rows[0]


def test_without_a_comparison_of_mlflow_there_is_no_section() -> None:
    assert mlflow_section(Presenter(given.promote())) is None


def test_both_differences_stand_beside_each_other_with_what_explains_them() -> None:
    ours = next(row for row in given.promote().comparisons if (row.candidate, row.baseline) == ("lora", "zero_shot"))
    theirs = replace(THEIRS, n=ours.n - 1, delta=ours.delta + 0.01, low=0.01, high=0.3, p_value=0.02)
    cells = row_of(theirs).cells
    assert cells[4].text == f"+{ours.delta + 0.01:.3f}"
    assert cells[5].text == f"+{ours.delta:.3f}"
    assert cells[8].text.startswith(f"it has {ours.n - 1:,} pairs of {ours.n:,}")
    assert ours.method in cells[8].text


def test_another_score_and_another_average_are_told_apart() -> None:
    ours = next(row for row in given.promote().comparisons if (row.candidate, row.baseline) == ("lora", "zero_shot"))
    other = replace(THEIRS, n=ours.n, delta=ours.delta + 0.01)
    assert row_of(other).cells[8].text.startswith("it averages several values of one trace")
    assert (
        row_of(replace(other, is_same_score=False))
        .cells[8]
        .text.startswith("another score: there by the scorer correct")
    )


def test_a_pair_that_is_no_contrast_here_is_shown_alone() -> None:
    cells = row_of(replace(THEIRS, baseline="nowhere", delta=0.1)).cells
    assert (cells[4].text, cells[5].text, cells[8].text) == ("+0.100", "—", "not a contrast of the suite")
