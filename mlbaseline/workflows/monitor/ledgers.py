"""Where the ledger of a suite is."""

from __future__ import annotations

import os
from pathlib import Path

from mlbaseline.errors import SuiteError
from mlbaseline.monitor import Ledger, open_ledger
from mlbaseline.suite import Monitor, Suite

_SQLITE = "sqlite:///"


def monitor_of(suite: Suite) -> Monitor:
    """Return the suite's rules of live traffic. Raises SuiteError where it has none."""
    if suite.monitor is None:
        raise SuiteError(suite.name, ["monitor: is missing; it has the rules of live traffic"])
    return suite.monitor


def ledger_of(suite: Suite, url: str | None, tracking_uri: str | None) -> Ledger:
    """Open the ledger of a suite.

    Args:
        suite: The suite.
        url: Path or URL. Default: `NAME-traffic.db` beside the tracking database where that is a file, else here.
        tracking_uri: MLflow's tracking server.

    Raises:
        LedgerError: It cannot be used.
    """
    return open_ledger(url or default_path(suite.name, tracking_uri), suite.name)


def default_path(name: str, tracking_uri: str | None) -> Path:
    """Return where the ledger of a suite is, unless it is said."""
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    folder = Path(uri.removeprefix(_SQLITE).partition("?")[0]).parent if uri.startswith(_SQLITE) else Path()
    return folder / f"{name}-traffic.db"
