"""The result table: its columns, how answers become one, how it is read, and alignment of runs by example."""

from mlbaseline.results.table import (
    BATCH,
    FIRST_TOKEN,
    LOGLIK,
    REFERENCE,
    SCORE,
    SLICE,
    SUM,
    UNANSWERED,
    WEIGHT,
    CompletedEvaluation,
    ResultTable,
    align,
    load_table,
    save_signature,
)
from mlbaseline.results.tabulation import tabulate

__all__ = [
    "BATCH",
    "FIRST_TOKEN",
    "LOGLIK",
    "REFERENCE",
    "SCORE",
    "SLICE",
    "SUM",
    "UNANSWERED",
    "WEIGHT",
    "CompletedEvaluation",
    "ResultTable",
    "align",
    "load_table",
    "save_signature",
    "tabulate",
]
