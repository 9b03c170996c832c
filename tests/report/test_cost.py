from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import BreakEven
from mlbaseline.report.cost import cost
from mlbaseline.report.view import Table
from mlbaseline.report.wording import Wording
from tests.report import assessments as given


def rows(*break_even: BreakEven) -> list[list[str]]:
    section = cost(Wording(replace(given.promote(), break_even=break_even)))
    assert section is not None
    (table,) = section.blocks
    assert isinstance(table, Table)
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_when_a_fine_tune_pays_for_itself() -> None:
    first, second = rows(*given.BREAK_EVEN)
    assert first == ["lora", "few_shot", "0.00801", "1.71", "5.31", "after 2,226 queries"]
    assert second[-1] == "never: a query costs no less than with the prompt"


def test_a_price_that_is_not_known_is_not_called_never() -> None:
    (row,) = rows(BreakEven("lora", "few_shot", None, None, 1e-6, None))
    assert row[-1] == "not known: a price is missing"
    assert cost(Wording(replace(given.promote(), break_even=()))) is None
