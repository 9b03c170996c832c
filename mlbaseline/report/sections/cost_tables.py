"""Section `cost`: what the rungs cost, which are on a Pareto front, and when a fine-tune pays for itself."""

from __future__ import annotations

from mlbaseline import formats
from mlbaseline.records import BreakEven, Cost
from mlbaseline.report.presenter import Presenter, listed
from mlbaseline.report.sections.cost_reference import reference_table
from mlbaseline.report.sections.pareto_fronts import MONEY, front_cell, front_columns, tradeoff_plots
from mlbaseline.report.view import Block, Cell, Column, Row, Section, Table

_MONEY_NOTE = (
    "Money: the suite's present prices, training included; the interval covers the examples, the batches that they "
    "were computed in and the seeds' runs, not a machine that is slower on another day. "
)
_PRICED_BY = {"source": "its source", "tokens": "tokens", "hardware": "hardware time"}


def cost_section(presenter: Presenter) -> Section | None:
    """Build the tables of costs, Pareto fronts and break-even points, with the plots of the fronts."""
    blocks: list[Block | None] = [_cost_table(presenter), reference_table(presenter), _front_table(presenter)]
    blocks += [*tradeoff_plots(presenter, money=False), _break_even(presenter)]
    present = tuple(block for block in blocks if block is not None)
    return Section("cost", "Cost", present) if present else None


def _cost_table(presenter: Presenter) -> Table | None:
    standings = presenter.assessment.standings
    measured = [s for s in standings if formats.finite(s.cost.usd_per_query) or formats.finite(s.cost.latency_p50_s)]
    if not measured:
        return None
    batch, unit = presenter.query_batch
    is_priced = any(formats.finite(standing.cost.usd_per_query) for standing in measured)
    is_trained = any(standing.cost.trainable_params for standing in measured)
    is_streamed = any(formats.finite(standing.cost.first_token_p50_s) for standing in measured)
    columns = (
        Column("Rung", code=True),
        *([Column(f"USD per {unit}", numeric=True), Column("Priced by")] if is_priced else []),
        Column("Latency p50", numeric=True),
        Column("Latency p95", numeric=True),
        Column("Latency p99", numeric=True),
        *([Column("First token p50", numeric=True)] if is_streamed else []),
        Column("Timed", numeric=True),
        Column("Memory", numeric=True),
        *([Column("Trained parameters", numeric=True)] if is_trained else []),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(standing.baseline)),
                *(_money(standing.cost, batch) if is_priced else ()),
                *(_latency(standing.cost, f"latency_p{rank}_s") for rank in (50, 95, 99)),
                *([Cell(formats.duration(standing.cost.first_token_p50_s))] if is_streamed else []),
                Cell(formats.count(standing.cost.n_timed) if standing.cost.n_timed else formats.MISSING),
                Cell(formats.memory(standing.cost.peak_memory_bytes)),
                *([_parameters(standing.cost)] if is_trained else []),
            ),
            emphasis=standing.baseline == presenter.assessment.verdict.winner,
        )
        for standing in measured
    )
    notes = (
        f"{presenter.level} intervals. {_MONEY_NOTE if is_priced else ''}Latency: queries sent one at a time, the "
        "timings of all seeds together, each query one observation; limits are order statistics, and a bound that so "
        "few queries do not "
        f"give is {formats.MISSING}. An endpoint's is what its client saw, "
        "with as many queries at once as the suite allows.",
    )
    return Table("Money, latency and memory" if is_priced else "Latency and memory", columns, rows, notes=notes)


def _parameters(cost: Cost) -> Cell:
    n = cost.trainable_params
    return Cell(formats.MISSING if n is None else f"{formats.significant(n / 1e6)} M" if n else "0")


def _money(cost: Cost, batch: int) -> tuple[Cell, Cell]:
    bounds = cost.bounds.get("usd_per_query")
    shown = "" if bounds is None else _between(*(formats.price(bound, batch) for bound in (bounds.low, bounds.high)))
    by = _PRICED_BY.get(cost.priced_by or "", formats.MISSING)
    return Cell(formats.price(cost.usd_per_query, batch), shown), Cell(by)


def _latency(cost: Cost, field: str) -> Cell:
    bounds, value = cost.bounds.get(field), getattr(cost, field)
    shown = "" if bounds is None else _between(*(formats.duration(bound) for bound in (bounds.low, bounds.high)))
    return Cell(formats.duration(value), shown)


def _between(low: str, high: str) -> str:
    return "" if low == high == formats.MISSING else f"[{low}, {high}]"


def _front_table(presenter: Presenter) -> Table | None:
    fronts = front_columns(presenter)
    if not fronts:
        return None
    columns = (Column("Rung", code=True), *(Column(f"{title} front", numeric=True) for title, _ in fronts))
    rows = tuple(
        Row(
            (
                Cell(formats.clean(standing.baseline)),
                *(front_cell(front, standing.baseline) for _, front in fronts),
            ),
            emphasis=standing.baseline == presenter.assessment.verdict.winner,
        )
        for standing in presenter.assessment.standings
    )
    metrics = ", ".join(dict.fromkeys(formats.clean(front.metric) for _, front in fronts))
    notes = [
        f"✓: by the estimates of {metrics} no other rung is at least as good in both and better in one. The share says "
        "in how many resampled test sets that holds, the same examples drawn for all rungs; seeds stay as they are."
    ]
    hardware = next((front.hardware for _, front in fronts if front.hardware), "")
    moved = dict.fromkeys(point.baseline for _, front in fronts for point in front.points if point.normalised)
    if hardware and not moved:
        notes.append(f"Latency, memory and seconds are compared on one hardware only: {formats.clean(hardware)}.")
    if moved:
        notes.append(
            "Measured on another machine; normalised by the reference workload: "
            f"{listed([formats.clean(name) for name in moved])}. Their latency and seconds, and money where one price "
            f"stands for both machines, are what the workload makes of them on {formats.clean(hardware)}. How far that "
            "may be off is in the share and in the interval. Memory is compared on one machine only, and no gate looks "
            "at a normalised figure."
        )
    if any(front.beside for _, front in fronts):
        notes.append("Seconds are compared at one speed of the reference workload, not as they were measured.")
    if any(front.axis in MONEY and not front.hardware for _, front in fronts):
        notes.append("Money is compared across hardware where the suite has a price for each machine.")
    return Table("On the Pareto front", columns, rows, notes=tuple(notes))


def _break_even(presenter: Presenter) -> Table | None:
    break_evens = [row for row in presenter.assessment.break_even if _is_priced(row)]
    if not break_evens:
        return None
    prices = [usd for row in break_evens for usd in (row.fine_tune_usd_per_query, row.prompt_usd_per_query)]
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
                _break_even_cell(row),
            )
        )
        for row in break_evens
    )
    note = (
        "The price of a query is that of computing it, in batches, on the hardware that each ran on, without training. "
        "Means over seeds; one training is paid for. Left out are pairs of which a price is not known."
    )
    notes = [note]
    if any(row.beside and not row.normalised for row in break_evens):
        notes.append(
            "Both sides of a pair are priced at one speed of the reference workload: their prices here are not those "
            "that were measured."
        )
    if any(row.normalised for row in break_evens):
        notes.append(
            "Normalised: the prompt was measured on another machine at the same price; its cost is brought to that of "
            "the fine-tune by the reference workload, and the interval has how far that may be off."
        )
    return Table("When a fine-tune pays for itself", columns, rows, notes=tuple(notes))


def _is_priced(row: BreakEven) -> bool:
    return all(map(formats.finite, (row.train_usd, row.fine_tune_usd_per_query, row.prompt_usd_per_query)))


def _break_even_cell(row: BreakEven) -> Cell:
    fewest = formats.MISSING if row.queries_low is None else formats.count(row.queries_low)
    most = "never" if row.queries_high is None else formats.count(row.queries_high)
    known = row.queries_low is not None or row.queries_high is not None
    interval = f"[{fewest}, {most}]" if known else ""
    if row.normalised:
        interval = f"{interval} normalised".strip()
    if row.queries is not None:
        return Cell(f"after {formats.count(row.queries)} queries", interval)
    return Cell("never: a query costs no less than with the prompt", interval)
