"""What goes on after a promotion: the ledger of live traffic, and what is read from it for the decisions."""

from mlbaseline.monitor.cohorts import OVERALL, ClosedDay, WatchedSlice, closed_days, in_time, latest_us
from mlbaseline.monitor.event_arrays import EventArrays, ScoreArrays
from mlbaseline.monitor.event_rows import Arm, CheckedRows, check_rows
from mlbaseline.monitor.ledger import DAY_US, Ledger, LedgerSummary, open_ledger
from mlbaseline.monitor.problems import EventProblem, ProblemCounts
from mlbaseline.monitor.units import FirstEvents, SharePhase, crossed_units, first_events, share_phases

__all__ = [
    "DAY_US",
    "OVERALL",
    "Arm",
    "CheckedRows",
    "ClosedDay",
    "EventArrays",
    "EventProblem",
    "FirstEvents",
    "Ledger",
    "LedgerSummary",
    "ProblemCounts",
    "ScoreArrays",
    "SharePhase",
    "WatchedSlice",
    "check_rows",
    "closed_days",
    "crossed_units",
    "first_events",
    "in_time",
    "latest_us",
    "open_ledger",
    "share_phases",
]
