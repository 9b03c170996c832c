"""What killed processes left on a tracking server: open runs, half-done moves of aliases, versions that nobody wants.

The next `run`, `evaluate`, `compare` or `promote` of the same suite clears the same things; `doctor` tells of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from mlbaseline.store.registry.aliases import InterruptedMove, interrupted_moves
from mlbaseline.store.registry.moves import finish_interrupted_move, orphan_versions
from mlbaseline.store.registry.pending_versions import delete_version
from mlbaseline.store.registry.registered_names import is_registered
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.dead_runs import end_dead_run, find_dead_runs
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import experiment_ids

_PAGE = 1000


class LeftoverKind(Enum):
    """What a killed process may leave behind."""

    DEAD_RUN = "dead run"
    HALF_DONE_MOVE = "half-done move"
    ORPHAN_VERSION = "orphan version"
    TORN_CACHE = "torn cache entry"


@dataclass(frozen=True)
class Leftover:
    """Something that a killed process left.

    Attributes:
        kind: What it is.
        where: Which one, for a person.
        remedy: What clearing it does, such as "is ended as killed".
        clear: Does it. Raises what the store or the disk raises.
    """

    kind: LeftoverKind
    where: str
    remedy: str
    clear: Callable[[], object]


def find_leftovers(server: Server, *, experiment: str | None, model: str | None) -> list[Leftover]:
    """Find what processes left that are gone. Nothing is written.

    Args:
        server: Tracking server.
        experiment: Name of the experiment to look into; None for all.
        model: Name of the registered model to look at; None for all where `experiment` is None, too, else for none.

    Returns:
        Moves first, then versions, then runs: the order in which they must be cleared.

    Raises:
        TrackingError: The server cannot be reached.
    """
    if experiment is None:
        experiments, models = experiment_ids(server), _all_models(server)
    else:
        with reporting(f"read the experiment {experiment!r}", server.uri):
            found = server.client.get_experiment_by_name(experiment)
        experiments = [] if found is None else [found.experiment_id]
        models = [model] if model is not None and is_registered(server, model) else []
    return [*_of_models(server, models), *_of_runs(server, experiments)]


def _of_models(server: Server, models: Sequence[str]) -> Iterator[Leftover]:
    for model in models:
        for interrupted in interrupted_moves(server, model):
            where = f"{model}: champion to version {interrupted.move.champion} (run {interrupted.run_id})"
            remedy = _remedy_of(interrupted)
            yield Leftover(
                LeftoverKind.HALF_DONE_MOVE, where, remedy, partial(finish_interrupted_move, server, interrupted)
            )
        for version in orphan_versions(server, model):
            where = f"{model}: version {version.version}"
            clear = partial(delete_version, server, version)
            yield Leftover(LeftoverKind.ORPHAN_VERSION, where, "is deleted: it was never the champion", clear)


def _remedy_of(interrupted: InterruptedMove) -> str:
    if interrupted.has_begun:
        return "is finished: an alias was set already"
    return "is taken back, with the version that it was for: no alias was set yet"


def _of_runs(server: Server, experiments: Sequence[str]) -> Iterator[Leftover]:
    for run in find_dead_runs(server, experiments) if experiments else ():
        where = f"{run.kind} {run.name!r} (run {run.run_id})"
        remedy = "is ended as finished: it was complete" if run.is_complete else "is ended as killed"
        yield Leftover(LeftoverKind.DEAD_RUN, where, remedy, partial(end_dead_run, server, run))


def _all_models(server: Server) -> list[str]:
    names: list[str] = []
    token = None
    while True:
        with reporting("list the registered models", server.uri):
            page = server.client.search_registered_models(max_results=_PAGE, page_token=token)
        names += [str(model.name) for model in page]
        token = page.token
        if not token:
            return names
