"""What goes on after a promotion: the ledger of live traffic, and what is read from it for the decisions."""

from mlbaseline.monitor.cohorts import OVERALL, ClosedDay, WatchedSlice, closed_days, in_time, latest_us
from mlbaseline.monitor.event_arrays import EventArrays, ScoreArrays
from mlbaseline.monitor.event_rows import Arm, CheckedRows, check_rows
from mlbaseline.monitor.ledger import DAY_US, Ledger, LedgerSummary, open_ledger
from mlbaseline.monitor.problems import EventProblem, ProblemCounts

__all__ = [
    "DAY_US",
    "OVERALL",
    "Arm",
    "CheckedRows",
    "ClosedDay",
    "EventArrays",
    "EventProblem",
    "Ledger",
    "LedgerSummary",
    "ProblemCounts",
    "ScoreArrays",
    "WatchedSlice",
    "check_rows",
    "closed_days",
    "in_time",
    "latest_us",
    "open_ledger",
]
