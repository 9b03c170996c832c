"""Carrying out an announced move of aliases, and finishing or undoing one whose process died between its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlbaseline.store.registry.aliases import (
    AliasMove,
    InterruptedMove,
    aliases_of,
    announced_moves,
    interrupted_moves,
    set_aliases,
    withdraw,
)
from mlbaseline.store.registry.pending_versions import (
    DONE,
    PROMOTION_RUN_ID,
    STATE,
    delete_version,
    is_written,
    pending_versions,
)
from mlbaseline.store.registry.registered_names import is_registered
from mlbaseline.store.registry.rolled_back import ROLLBACK
from mlbaseline.store.registry.version_page import as_champion, as_former_champion
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import COMPLETED, KIND, PREFIX, STATUS, run_tags

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def finish_interrupted(server: Server, model: str) -> None:
    """Finish a promotion or rollback whose process died after it had set an alias, and undo one that died before.

    Raises:
        PromotionError: Somebody else moved the aliases at the same moment.
        TrackingError: The server cannot be reached.
    """
    if not is_registered(server, model):
        return
    for interrupted in interrupted_moves(server, model):
        finish_interrupted_move(server, interrupted)
    for version in orphan_versions(server, model):
        delete_version(server, version)


def orphan_versions(server: Server, model: str) -> list[ModelVersion]:
    """Find pending versions whose promotion has ended without them, and that no alias and no announced move names.

    Raises:
        TrackingError: The server cannot be reached.
    """
    pending = pending_versions(server, model)
    if not pending:
        return []
    with reporting(f"read the aliases of {model!r}", server.uri):
        named = set(aliases_of(server.client.get_registered_model(model)).values())
    named |= {move.champion for move in announced_moves(server, model).values()}
    return [
        version
        for version in pending
        if str(version.version) not in named and not is_written(server, version.tags.get(PROMOTION_RUN_ID, ""))
    ]


def finish_interrupted_move(server: Server, interrupted: InterruptedMove) -> None:
    """Finish a move that has begun, with its record; take back one that has not, and the version that it was for.

    Raises:
        PromotionError: Somebody else moved the aliases at the same moment.
        TrackingError: The server cannot be reached.
    """
    run_id, move = interrupted.run_id, interrupted.move
    if not interrupted.has_begun:
        for version in pending_versions(server, move.model):
            if version.tags.get(PROMOTION_RUN_ID) == run_id:
                delete_version(server, version)
        withdraw(server, move.model, run_id)
        return
    carry_out(server, run_id, move)
    with reporting(f"end the interrupted run {run_id}", server.uri):
        server.client.set_terminated(run_id, "FINISHED")


def carry_out(server: Server, run_id: str, move: AliasMove) -> None:
    """Set the aliases of an announced move, complete its record, and take back the announcement.

    The announcement is taken back last: if this process dies or loses the server, the next command finishes the move.

    Args:
        server: Tracking server.
        run_id: The run that announced the move and is the record of it.
        move: As it was announced.

    Raises:
        PromotionError: Somebody else moved the aliases at the same moment.
        TrackingError: The server cannot be reached.
    """
    set_aliases(server, move)
    _tell_on_pages(server, run_id, move)
    with reporting(f"note that version {move.champion} of {move.model!r} is the champion", server.uri):
        server.client.set_model_version_tag(move.model, move.champion, STATE, DONE)
        server.client.log_batch(run_id, tags=run_tags(_record_of(move)))
    withdraw(server, move.model, run_id)


def _tell_on_pages(server: Server, run_id: str, move: AliasMove) -> None:
    """Say on the page of the former champion what came of it. Said again, it is the same."""
    client = server.client
    with reporting(f"describe the versions of {move.model!r}", server.uri):
        champion = client.get_model_version(move.model, move.champion)
        told = as_champion(champion.description or "")
        if told != (champion.description or ""):
            client.update_model_version(move.model, move.champion, told)
        if move.previous is None:
            return
        run = client.get_run(run_id)
        former = client.get_model_version(move.model, move.previous)
        told = as_former_champion(
            former.description or "",
            now=move.champion,
            is_rolled_back=run.data.tags.get(KIND) == ROLLBACK,
            record=f"#/experiments/{run.info.experiment_id}/runs/{run_id}",
        )
        client.update_model_version(move.model, move.previous, told)


def _record_of(move: AliasMove) -> Mapping[str, str]:
    """Return the tags of a run that is the record of a move. They complete it: both aliases are set."""
    moved = {"model": move.model, "version": move.champion, "previous_version": move.previous or "none"}
    return {**{PREFIX + key: value for key, value in moved.items()}, STATUS: COMPLETED}
