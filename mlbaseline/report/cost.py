"""What the rungs cost over time: when a fine-tune has paid for itself."""

from __future__ import annotations

from mlbaseline.records import BreakEven
from mlbaseline.report import formats
from mlbaseline.report.view import Cell, Column, Row, Section, Table
from mlbaseline.report.wording import Wording


def cost(wording: Wording) -> Section | None:
    """Each fine-tune against each few-shot prompt."""
    found = wording.assessment.break_even
    if not found:
        return None
    prices = [usd for row in found for usd in (row.fine_tune_usd_per_query, row.prompt_usd_per_query)]
    batch, unit = formats.query_batch(prices)
    columns = (
        Column("Fine-tune", code=True),
        Column("Few-shot prompt", code=True),
        Column("Training, USD", numeric=True),
        Column(f"Fine-tune, USD per {unit}", numeric=True),
        Column(f"Prompt, USD per {unit}", numeric=True),
        Column("Pays for itself", wide=True),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(row.fine_tune)),
                Cell(formats.clean(row.prompt)),
                Cell(formats.significant(row.train_usd)),
                Cell(formats.price(row.fine_tune_usd_per_query, batch)),
                Cell(formats.price(row.prompt_usd_per_query, batch)),
                _pays(row),
            )
        )
        for row in found
    )
    note = (
        "The price of a query is that of computing it, in batches, on the hardware that each ran on, without training. "
        "Means over seeds; one training is paid for."
    )
    return Section("cost", "Cost", (Table("When a fine-tune pays for itself", columns, rows, notes=(note,)),))


def _pays(row: BreakEven) -> Cell:
    if row.queries is not None:
        return Cell(f"after {formats.count(row.queries)} queries")
    figures = (row.train_usd, row.fine_tune_usd_per_query, row.prompt_usd_per_query)
    if not all(map(formats.finite, figures)):
        return Cell("not known: a price is missing", tone="open")
    return Cell("never: a query costs no less than with the prompt")
