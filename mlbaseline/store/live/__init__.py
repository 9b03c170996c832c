"""Live traffic on the tracking server: traces, versions of the holdout, snapshots, and what decisions came to."""

from mlbaseline.store.live.actions import CANARY_RUN_ID, CanaryCause, find_rollback
from mlbaseline.store.live.holdouts import ANCHOR, holdout_name, read_holdout, write_holdout
from mlbaseline.store.live.retrainings import RETRAIN, find_retrainings, log_retraining, open_retraining, run_project
from mlbaseline.store.live.snapshots import (
    SNAPSHOT,
    StoredSnapshot,
    anchor_scores,
    find_snapshots,
    log_snapshot,
    snapshot_tags,
    tell_version,
)
from mlbaseline.store.live.traces import TraceTag, read_traces, trace_items

__all__ = [
    "ANCHOR",
    "CANARY_RUN_ID",
    "RETRAIN",
    "SNAPSHOT",
    "CanaryCause",
    "StoredSnapshot",
    "TraceTag",
    "anchor_scores",
    "find_retrainings",
    "find_rollback",
    "find_snapshots",
    "holdout_name",
    "log_retraining",
    "log_snapshot",
    "open_retraining",
    "read_holdout",
    "read_traces",
    "run_project",
    "snapshot_tags",
    "tell_version",
    "trace_items",
    "write_holdout",
]
