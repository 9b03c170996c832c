"""Moving the aliases `champion` and `previous`: one mover at a time, and a move that was cut off is finished.

MLflow sets one alias at a time and has no compare-and-set. So a move is first announced by a tag of the registered
model, and only then looks for the announcements of others: of two moves at least one sees the other, and one that sees
another withdraws. The tag goes when both aliases are set. One that is left belongs to a process that died on the way,
and the next command finishes its move.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlbaseline.errors import PromotionError, TrackingError
from mlbaseline.store.server.heartbeat import is_gone
from mlbaseline.store.server.tracking import PREFIX, Run, Server, reporting

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION, PREVIOUS = "champion", "previous"
_INTENT = PREFIX + "move."


@dataclass(frozen=True)
class AliasMove:
    """Two aliases of a registered model, as they are to be. previous: None for the first champion."""

    model: str
    champion: str
    previous: str | None


def holder(server: Server, model: str, alias: str) -> ModelVersion | None:
    """Read the version that has an alias; None where there is none. Raises TrackingError."""
    from mlflow.exceptions import MlflowException

    with reporting(f"read the alias {alias!r} of {model!r}", server.uri):
        try:
            return server.client.get_model_version_by_alias(model, alias)
        except MlflowException as error:
            # mlflow 3.17: INVALID_PARAMETER_VALUE is a model without that alias.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def version_number(version: ModelVersion | None) -> str | None:
    """Return the number as text, as the server gives it: without one (mlflow 3.17, a database) it is an int."""
    return None if version is None else str(version.version)


def aliases_of(registered: RegisteredModel) -> dict[str, str]:
    """Return all aliases of a registered model with the numbers of their versions."""
    return {alias: str(version) for alias, version in registered.aliases.items()}


@contextmanager
def intending(run: Run, move: AliasMove) -> Iterator[None]:
    """Announce a move for the length of the block, in which the caller checks that nothing has changed and makes it.

    Raises:
        PromotionError: Another move is under way. Nothing is left announced then, nor if the block raises.
        TrackingError: The server cannot be reached.
    """
    client, key = run.tracker.client, _INTENT + run.run_id
    with reporting(f"announce a move of the aliases of {move.model!r}", run.tracker.uri):
        client.set_registered_model_tag(move.model, key, json.dumps(asdict(move)))
    try:
        others = [run_id for run_id in _intents(run.tracker, move.model) if run_id != run.run_id]
        if others:
            raise PromotionError(
                f"{move.model!r}: another promotion or rollback is under way (run {others[0]}). Wait until it is done, "
                "and compare again: the champion may be another one."
            )
        yield
    except BaseException:
        with suppress(TrackingError):
            _withdraw(run.tracker, move.model, run.run_id)
        raise
    _withdraw(run.tracker, move.model, run.run_id)


def set_aliases(server: Server, move: AliasMove) -> None:
    """Set both aliases and read them back. `previous` goes first: the step that counts is the last one.

    Raises:
        PromotionError: The aliases read back are others.
        TrackingError: The server cannot be reached.
    """
    with reporting(f"move the aliases of {move.model!r}", server.uri):
        if move.previous is not None:
            server.client.set_registered_model_alias(move.model, PREVIOUS, move.previous)
        server.client.set_registered_model_alias(move.model, CHAMPION, move.champion)
        aliases = aliases_of(server.client.get_registered_model(move.model))
    if aliases.get(CHAMPION) != move.champion or (move.previous is not None and aliases.get(PREVIOUS) != move.previous):
        raise PromotionError(
            f"{move.model!r}: the aliases were set to champion {move.champion} and previous {move.previous}, but read "
            f"back as {aliases}: somebody else moved them at the same moment. Look at the registry before you go on."
        )


def finish_interrupted_move(server: Server, model: str) -> tuple[str, AliasMove] | None:
    """Finish the move of a process that died after it set the first alias.

    Returns:
        The run that announced the move, and the move; None where there was none, or its process is still at work.

    Raises:
        PromotionError: The aliases read back are others.
        TrackingError: The server cannot be reached.
    """
    finished = None
    for run_id, move in _intents(server, model).items():
        with reporting(f"read the run {run_id}", server.uri):
            writer = server.client.get_run(run_id)
        if writer.info.status == "RUNNING" and not is_gone(writer.data.tags):
            continue
        if _has_begun(server, move):
            set_aliases(server, move)
            finished = run_id, move
        _withdraw(server, model, run_id)
    return finished


def _has_begun(server: Server, move: AliasMove) -> bool:
    """Whether an alias was set: a move that was only announced may have been overtaken since."""
    with reporting(f"read the aliases of {move.model!r}", server.uri):
        aliases = aliases_of(server.client.get_registered_model(move.model))
    # Between its two steps the former champion, which becomes the previous one, has both aliases.
    is_half_done = move.previous is not None and aliases.get(PREVIOUS) == aliases.get(CHAMPION) == move.previous
    return is_half_done or aliases.get(CHAMPION) == move.champion


def _intents(server: Server, model: str) -> dict[str, AliasMove]:
    """Announced moves by the run that announced them."""
    with reporting(f"read the tags of {model!r}", server.uri):
        tags: Mapping[str, str] = server.client.get_registered_model(model).tags
    return {
        key.removeprefix(_INTENT): AliasMove(**json.loads(value))
        for key, value in tags.items()
        if key.startswith(_INTENT)
    }


def _withdraw(server: Server, model: str, run_id: str) -> None:
    with reporting(f"take back the announced move of {model!r}", server.uri):
        server.client.delete_registered_model_tag(model, _INTENT + run_id)
