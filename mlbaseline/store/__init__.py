"""All that touches MLflow: runs written and read, comparisons, the registry, the model that is served."""

from mlbaseline.store.comparisons import load_assessment, log_comparison
from mlbaseline.store.evaluations import log_evaluation, log_ladder, open_evaluation
from mlbaseline.store.reading import (
    ComparisonRun,
    EvaluationRun,
    find_comparison,
    find_completed,
    find_evaluations,
    load_tables,
)
from mlbaseline.store.tracking import Run, Tracker, connect, open_run, suite_tags

__all__ = [
    "ComparisonRun",
    "EvaluationRun",
    "Run",
    "Tracker",
    "connect",
    "find_comparison",
    "find_completed",
    "find_evaluations",
    "load_assessment",
    "load_tables",
    "log_comparison",
    "log_evaluation",
    "log_ladder",
    "open_evaluation",
    "open_run",
    "suite_tags",
]
