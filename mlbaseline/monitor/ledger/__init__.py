"""The ledger: requests and labels in a database, and the same as arrays for the decisions."""

from mlbaseline.monitor.ledger.ledger import Ledger, LedgerSummary, open_ledger
from mlbaseline.monitor.ledger.writing import DAY_US, AddedEvents

__all__ = ["DAY_US", "AddedEvents", "Ledger", "LedgerSummary", "open_ledger"]
