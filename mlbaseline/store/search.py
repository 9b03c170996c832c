"""Asking the tracking server for runs by their tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlbaseline.store.tracking import KIND, Tracker, reporting

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

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
    """Runs of a kind that carry all the tags, page by page as they are asked for.

    everywhere: in every experiment, because a run that `mlflow run` started lies in the one that *it* was told, not in
    that of the suite. deleted: those as well that somebody has deleted. page_size: 1 where the first one is enough.
    Raises TrackingError.
    """
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    experiment_ids = list(_experiments(tracker, view)) if everywhere else [tracker.experiment_id]
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in {KIND: kind, **tags}.items())
    token = None
    while True:
        with reporting(f"search the runs of {tracker.experiment!r}", tracker.uri):
            page = tracker.client.search_runs(
                experiment_ids, query, view, max_results=page_size, order_by=[order], page_token=token
            )
        yield from page
        token = page.token
        if not token:
            return


def _experiments(tracker: Tracker, view: int) -> Iterator[str]:
    token = None
    while True:
        with reporting("list the experiments", tracker.uri):
            page = tracker.client.search_experiments(view_type=view, max_results=_PAGE, page_token=token)
        yield from (experiment.experiment_id for experiment in page)
        token = page.token
        if not token:
            return
