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
from mlbaseline.store.registry.pending_versions import is_written
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX, Run
from mlbaseline.untrusted import expecting, parse_json

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


@dataclass(frozen=True)
class InterruptedMove:
    """A move whose process died. run_id: the run that announced it. has_begun: an alias was set, so it is finished."""

    run_id: str
    move: AliasMove
    has_begun: bool


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


def aliases_text(aliases: Mapping[str, str]) -> str:
    """Say in words which versions the aliases name.

    Example:
        >>> aliases_text({"champion": "3", "previous": "2"})
        'champion on version 3 and previous on version 2'
    """
    return " and ".join(f"{alias} on version {version}" for alias, version in aliases.items()) or "no alias"


@contextmanager
def announcing(run: Run, move: AliasMove) -> Iterator[None]:
    """Announce a move; in the block the caller checks that nothing has changed since it was planned.

    The move stays announced after the block, and is taken back if the block raises.

    Raises:
        PromotionError: Another move is under way. Nothing is left announced then.
        TrackingError: The server cannot be reached.
    """
    client, key = run.tracker.client, _INTENT + run.run_id
    with reporting(f"announce a move of the aliases of {move.model!r}", run.tracker.uri):
        client.set_registered_model_tag(move.model, key, json.dumps(asdict(move)))
    try:
        others = [run_id for run_id in announced_moves(run.tracker, move.model) if run_id != run.run_id]
        if others:
            raise PromotionError(
                f"{move.model!r}: another promotion or rollback is under way (run {others[0]}). Wait until it is done, "
                "and compare again: the champion may be another one."
            )
        yield
    except BaseException:
        with suppress(TrackingError):
            withdraw(run.tracker, move.model, run.run_id)
        raise


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
            f"back as {aliases_text(aliases)}: somebody else moved them at the same moment. Look at the registry "
            "before you go on."
        )


def interrupted_moves(server: Server, model: str) -> list[InterruptedMove]:
    """Find the announced moves whose process is not at work any more.

    Raises:
        DataError: A tag of the registered model is no announcement.
        TrackingError: The server cannot be reached.
    """
    return [
        InterruptedMove(run_id, move, _has_begun(server, move))
        for run_id, move in announced_moves(server, model).items()
        if not is_written(server, run_id)
    ]


def _has_begun(server: Server, move: AliasMove) -> bool:
    """Whether an alias was set: a move that was only announced may have been overtaken since."""
    with reporting(f"read the aliases of {move.model!r}", server.uri):
        aliases = aliases_of(server.client.get_registered_model(move.model))
    # Between its two steps the former champion, which becomes the previous one, has both aliases.
    is_half_done = move.previous is not None and aliases.get(PREVIOUS) == aliases.get(CHAMPION) == move.previous
    return is_half_done or aliases.get(CHAMPION) == move.champion


def announced_moves(server: Server, model: str) -> dict[str, AliasMove]:
    """Return the announced moves by the run that announced them.

    Raises:
        DataError: A tag of the registered model is no announcement.
        TrackingError: The server cannot be reached.
    """
    with reporting(f"read the tags of {model!r}", server.uri):
        tags: Mapping[str, str] = server.client.get_registered_model(model).tags
    intents = {}
    for key, value in tags.items():
        if key.startswith(_INTENT):
            with expecting("an announced move of aliases", f"{server.uri}: tag {key} of {model!r}"):
                intents[key.removeprefix(_INTENT)] = AliasMove(**parse_json(value))
    return intents


def withdraw(server: Server, model: str, run_id: str) -> None:
    """Take back the announcement of a move. Raises TrackingError."""
    with reporting(f"take back the announced move of {model!r}", server.uri):
        server.client.delete_registered_model_tag(model, _INTENT + run_id)
