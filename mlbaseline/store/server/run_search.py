"""Asking the tracking server for runs by their tags."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlbaseline.format_versions import FORMAT, RUN, VERSION
from mlbaseline.store.server.connection import Server, Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import KIND

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_CLOCK_SKEW_MS = 10 * 60 * 1000
"""By so much the clock of a client may differ from that of the server."""
NEWEST, OLDEST = "attributes.start_time DESC", "attributes.start_time ASC"
_PAGE = 1000


def search(
    tracker: Tracker,
    kind: str,
    tags: Mapping[str, str],
    *,
    everywhere: bool = False,
    deleted: bool = False,
    order: str = NEWEST,
    page_size: int = 1000,
) -> Iterator[MlflowRun]:
    """Find runs of a kind that carry all the tags, and fetch each page only when it is needed.

    everywhere: in every experiment, because a run that `mlflow run` started lies in the one that *it* was told, not in
    that of the suite. deleted: those as well that somebody has deleted. page_size: 1 where the first one is enough.
    Raises TrackingError.
    """
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    experiments = experiment_ids(tracker, view) if everywhere else [tracker.experiment_id]
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in {KIND: kind, **tags}.items())
    token = None
    while True:
        with reporting(f"search the runs of {tracker.experiment!r}", tracker.uri):
            page = tracker.client.search_runs(
                experiments, query, view, max_results=page_size, order_by=[order], page_token=token
            )
        yield from page
        token = page.token
        if not token:
            return


class Times:
    """Tells which runs have times that can be true.

    A client names the times of its runs. The server's own time of an experiment's creation bounds them from below, and
    the present bounds them from above.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._created_ms: dict[str, int] = {}
        self._latest_ms = int(time.time() * 1000) + _CLOCK_SKEW_MS

    def are_possible(self, run: MlflowRun) -> bool:
        """Tell whether a run started after its experiment was created, has not ended before that, and not tomorrow.

        Raises TrackingError.
        """
        start, end = run.info.start_time, run.info.end_time
        created = self._created(run.info.experiment_id)
        if start is None or not created - _CLOCK_SKEW_MS <= start <= self._latest_ms:
            return False
        return end is None or start <= end <= self._latest_ms

    def _created(self, experiment_id: str) -> int:
        if experiment_id not in self._created_ms:
            with reporting(f"read the experiment {experiment_id}", self._tracker.uri):
                created = self._tracker.client.get_experiment(experiment_id).creation_time
            self._created_ms[experiment_id] = created or 0
        return self._created_ms[experiment_id]


def experiment_ids(server: Server, view: int | None = None) -> list[str]:
    """Return the ids of all experiments. view: of MLflow's view types; None: those that are not deleted.

    Raises TrackingError.
    """
    ids: list[str] = []
    token = None
    while True:
        with reporting("list the experiments", server.uri):
            page = server.client.search_experiments(
                **({} if view is None else {"view_type": view}), max_results=_PAGE, page_token=token
            )
        ids += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return ids


def require_readable(server: Server, run: MlflowRun) -> None:
    """Check that this version can read a run. Raises NewerFormatError."""
    tags = run.data.tags
    RUN.require_readable(f"{server.uri}: run {run.info.run_id}", tags.get(FORMAT), tags.get(VERSION))
